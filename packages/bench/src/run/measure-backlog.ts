import { setTimeout as wait } from 'node:timers/promises';
import { LoadFleet } from '../load/load-fleet.ts';
import { BrokerWatch } from './broker-watch.ts';
import type { DataDisk } from './data-disk.ts';
import { consumersOf, publishersOf } from './fleet-plans.ts';
import type { FlowResult } from './measure-flow.ts';
import { latenciesOf, processBytesOf } from './measure-flow.ts';
import { type Figures, MB } from './measurement.ts';
import type { Channel, RunningPeer } from './peer.ts';
import type { BacklogWorkload } from './workload.ts';

const LOOK_MS = 200;
const STILL_MS = 10_000;
/** What is left counts as drained: as much as lies in a queue that flows. */
const REST_MAX = 5_000;

/** Fills a queue nobody reads, then drains it while publishing goes on. */
export async function measureBacklog(
  workload: BacklogWorkload,
  peer: RunningPeer,
  channel: Channel,
  run: number,
  say: (text: string) => void,
  disk?: DataDisk,
): Promise<FlowResult> {
  const { flow, messages } = workload;
  const fleet = await LoadFleet.start(publishersOf(flow, channel, { run, perSecond: 0, messagesMax: 0 }), undefined);
  const watch = new BrokerWatch(peer);
  const notes: string[] = [];
  try {
    const diskStart = await disk?.mark();
    const startBroker = watch.begin();
    const start = await fleet.look();
    fleet.open();
    let filled = start;
    do {
      await wait(LOOK_MS);
      filled = await fleet.look();
    } while (filled.acknowledged < messages);
    await fleet.close();
    filled = await fleet.drained(1, STILL_MS);
    const fullBroker = watch.look();
    const diskFull = await disk?.mark();
    const fillS = (filled.atUs - start.atUs) / 1e6;
    const fillRate = filled.acknowledged / fillS;
    const fullRssMb = watch.rssMostBytes / MB;
    say(`${filled.acknowledged} in ${fillS.toFixed(1)} s`);

    await fleet.consume(consumersOf(flow, channel, run));
    const drainStart = await fleet.look();
    fleet.open((fillRate * workload.publishShare) / flow.publishers);
    const endUs = drainStart.atUs + workload.drainMsMax * 1000;
    let drained = drainStart;
    do {
      await wait(LOOK_MS);
      drained = await fleet.look();
    } while (drained.acknowledged - drained.received > REST_MAX && drained.atUs < endUs);
    if (drained.atUs >= endUs) notes.push(`not drained within ${workload.drainMsMax / 1000} s`);
    const endBroker = watch.end();
    await fleet.close();
    await fleet.drained(1, STILL_MS);
    const sequences = await fleet.verdict();
    const drainS = (drained.atUs - drainStart.atUs) / 1e6;
    const figures: Figures = {
      fillRate,
      fillCpuUs: (fullBroker.cpuUs - startBroker.cpuUs) / filled.acknowledged,
      fullRssMb,
      drainRate: drained.received / drainS,
      drainCpuUs: (endBroker.cpuUs - fullBroker.cpuUs) / Math.max(1, drained.received),
      rssMb: watch.rssMostBytes / MB,
      grownBytes: (fullBroker.directoryBytes - startBroker.directoryBytes) / filled.acknowledged,
      loadShare: (drained.cpuUs - drainStart.cpuUs) / (drained.atUs - drainStart.atUs),
      ...latenciesOf(drained),
    };
    const [written, writtenBefore] = [fullBroker.writtenBytes, startBroker.writtenBytes];
    if (written !== undefined && writtenBefore !== undefined) {
      Object.assign(figures, processBytesOf((written - writtenBefore) / filled.acknowledged));
    }
    if (disk !== undefined && diskStart !== undefined && diskFull !== undefined) {
      figures.writtenBytes = disk.between(diskStart, diskFull) / filled.acknowledged;
    }
    return { figures, sequences, shares: drained.receivedBy, notes, disk: disk === undefined ? 'processes' : 'device' };
  } finally {
    await fleet.end();
  }
}
