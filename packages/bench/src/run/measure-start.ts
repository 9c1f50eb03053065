import { setTimeout as wait } from 'node:timers/promises';
import { LoadMember } from '../load/load-member.ts';
import { BrokerWatch } from './broker-watch.ts';
import { type Figures, MB } from './measurement.ts';
import type { Channel, RunningPeer } from './peer.ts';
import type { IdleWorkload, StartWorkload } from './workload.ts';

/** What a broker costs that nobody uses. */
export async function measureStart(workload: StartWorkload, peer: RunningPeer): Promise<Figures> {
  const watch = new BrokerWatch(peer);
  const before = watch.look();
  await wait(workload.idleMs);
  const after = watch.look();
  return {
    startS: peer.startMs / 1000,
    rssMb: after.rssBytes / MB,
    idleShare: (after.cpuUs - before.cpuUs) / (workload.idleMs * 1000),
  };
}

/** What a connection costs that does nothing: to be made, and to be kept. */
export async function measureIdle(
  workload: IdleWorkload,
  peer: RunningPeer,
  channel: Channel,
  run: number,
): Promise<Figures> {
  const { driver, addresses, options } = channel.consume;
  const links = Array.from({ length: workload.connections }, (_, i) => ({
    address: addresses[i % addresses.length] as (typeof addresses)[number],
    clientId: `idler-${run}-${i}`,
    options: { ...options, session: false },
  }));
  const watch = new BrokerWatch(peer);
  const before = watch.look();
  const idlers = await LoadMember.start({ side: 'idlers', driver, run, links });
  try {
    const connected = watch.look();
    await wait(workload.settleMs);
    const after = watch.look();
    return {
      connectUs: (connected.cpuUs - before.cpuUs) / workload.connections,
      connectionKb: (after.rssBytes - before.rssBytes) / 1024 / workload.connections,
      idleShare: (after.cpuUs - connected.cpuUs) / (workload.settleMs * 1000),
      rssMb: after.rssBytes / MB,
    };
  } finally {
    await idlers.end();
  }
}
