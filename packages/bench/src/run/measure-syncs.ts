import { setTimeout as wait } from 'node:timers/promises';
import { LoadFleet } from '../load/load-fleet.ts';
import { consumersOf, needOf, publishersOf } from './fleet-plans.ts';
import type { SyncFinding } from './measurement.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { isSynced, SyncTrace } from './sync-trace.ts';
import type { Flow } from './workload.ts';

/** One after the other, so that no two share a sync. */
const FLOW: Flow = {
  channel: 'queue',
  qos: 1,
  publishers: 1,
  consumers: 1,
  payloadBytes: 256,
  window: 1,
  prefetch: 16,
  backlogMax: 0,
  keys: 1,
  workMs: [0],
};
const MESSAGES = 20;
const PER_SECOND = 40;
const LOOK_MS = 50;
const TRACE_MS_MAX = 20_000;

/** Whether what a broker acknowledges has been synced: looked at where it can be, else what is documented. */
export async function measureSyncs(
  peer: Peer,
  running: RunningPeer,
  name: string,
  run: number,
  directory: string,
): Promise<SyncFinding> {
  const documented: SyncFinding = { answer: peer.documentedSync, by: 'documented' };
  const channel = await running.open(needOf(FLOW, name));
  if (channel === undefined) return documented;
  const options = { run, perSecond: PER_SECOND, messagesMax: MESSAGES };
  const fleet = await LoadFleet.start(publishersOf(FLOW, channel, options), consumersOf(FLOW, channel, run));
  try {
    const trace = await SyncTrace.attach(running.pids, directory);
    if (trace === undefined) return documented;
    fleet.open();
    const endMs = performance.now() + TRACE_MS_MAX;
    while (!(await fleet.look()).isDone && performance.now() < endMs) await wait(LOOK_MS);
    const { acknowledged } = await fleet.look();
    const counts = await trace.detach();
    if (acknowledged < MESSAGES) return documented;
    return { answer: isSynced(counts, MESSAGES, peer.copies) ? 'yes' : 'no', by: 'seen' };
  } finally {
    await fleet.end();
  }
}
