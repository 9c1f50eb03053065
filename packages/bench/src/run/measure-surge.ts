import { setTimeout as wait } from 'node:timers/promises';
import { LatencySketch } from '../load/latency-sketch.ts';
import { type FleetLook, LoadFleet } from '../load/load-fleet.ts';
import { BrokerWatch } from './broker-watch.ts';
import { consumersOf, publishersOf } from './fleet-plans.ts';
import type { FlowResult } from './measure-flow.ts';
import { MB } from './measurement.ts';
import type { Channel, RunningPeer } from './peer.ts';
import type { SurgeWorkload } from './workload.ts';

const LOOK_MS = 1_000;
const STILL_MS = 10_000;
/** A p99 of one second moves by itself; this much above the former counts as the same. */
const SAME_FACTOR = 1.5;
/** For so many looks in a row. */
const SAME_LOOKS = 3;
/** Published a second in the quiet times, as a share of what is sustained. */
const QUIET_SHARE = 0.5;

/**
 * What is sustained is found first, with the same queue: both sides at full speed, the backlog bounded by windows. The
 * surge then is due whether or not the broker takes it: what it does not take in time is dropped by the generator at
 * the end of the surge and not made up for, as sensors do.
 */
export async function measureSurge(
  workload: SurgeWorkload,
  peer: RunningPeer,
  channel: Channel,
  run: number,
  say: (text: string) => void,
): Promise<FlowResult> {
  const { flow } = workload;
  const fleet = await LoadFleet.start(
    publishersOf(flow, channel, { run, perSecond: 0, messagesMax: 0 }),
    consumersOf(flow, channel, run),
  );
  const watch = new BrokerWatch(peer);
  const each = (perSecond: number) => perSecond / flow.publishers;
  try {
    fleet.open();
    await wait(workload.findMs / 2);
    const findStart = await fleet.look();
    await wait(workload.findMs / 2);
    const findEnd = await fleet.look();
    const sustainedRate = rateOf(findStart, findEnd);
    say(`sustains ${Math.round(sustainedRate)} msg/s`);

    // From here on the queue takes up what consumers do not.
    fleet.change(each(sustainedRate * QUIET_SHARE), 0);
    await caughtUp(fleet, workload.recoverMsMax);
    const quiet = new LatencySketch();
    let behindQuiet = CAUGHT_UP_MAX;
    for (let ms = 0; ms < workload.steadyMs; ms += LOOK_MS) {
      await wait(LOOK_MS);
      const { endToEnd, acknowledged, received } = await fleet.look();
      quiet.merge(endToEnd);
      behindQuiet = Math.max(behindQuiet, acknowledged - received);
    }
    const p99BeforeUs = quiet.percentileUs(0.99) ?? 0;

    const rssBeforeMb = watch.begin().rssBytes / MB;
    const surgeStart = await fleet.look();
    fleet.change(each(sustainedRate * workload.factor), 0);
    let backlogMost = 0;
    let look = surgeStart;
    for (let ms = 0; ms < workload.surgeMs; ms += LOOK_MS) {
      await wait(LOOK_MS);
      look = await fleet.look();
      backlogMost = Math.max(backlogMost, look.acknowledged - look.received);
    }
    const takenRate = ((look.acknowledged - surgeStart.acknowledged) * 1e6) / (look.atUs - surgeStart.atUs);
    const loadShare = (look.cpuUs - surgeStart.cpuUs) / (look.atUs - surgeStart.atUs);
    say(`took ${Math.round(takenRate)} msg/s, ${backlogMost} of them behind`);

    fleet.change(each(sustainedRate * QUIET_SHARE), 0);
    const backS = await secondsUntilBack(fleet, p99BeforeUs, behindQuiet, workload.recoverMsMax);
    watch.end();
    const last = await fleet.look();
    await fleet.close();
    const drained = await fleet.drained(1, STILL_MS);
    return {
      figures: {
        sustainedRate,
        takenRate,
        backlogMost,
        p99BeforeMs: p99BeforeUs / 1000,
        ...(backS === undefined ? {} : { backS }),
        rssBeforeMb,
        rssMb: watch.rssMostBytes / MB,
        loadShare,
        ...(drained.refused > 0 ? { refused: drained.refused } : {}),
      },
      sequences: await fleet.verdict(),
      shares: last.receivedBy,
      notes: backS === undefined ? [`not back within ${workload.recoverMsMax / 1000} s`] : [],
    };
  } finally {
    await fleet.end();
  }
}

async function caughtUp(fleet: LoadFleet, withinMs: number): Promise<void> {
  const endMs = performance.now() + withinMs;
  let look: FleetLook;
  do {
    await wait(LOOK_MS / 5);
    look = await fleet.look();
  } while (look.acknowledged - look.received > CAUGHT_UP_MAX && performance.now() < endMs);
}
/** In flight at half of what is sustained. */
const CAUGHT_UP_MAX = 2_000;

async function secondsUntilBack(
  fleet: LoadFleet,
  p99Us: number,
  behind: number,
  withinMs: number,
): Promise<number | undefined> {
  let same = 0;
  for (let ms = LOOK_MS; ms <= withinMs; ms += LOOK_MS) {
    await wait(LOOK_MS);
    const { endToEnd, acknowledged, received } = await fleet.look();
    const nowUs = endToEnd.percentileUs(0.99);
    // A former p99 that was bad already would call it back with the surge still in the queue.
    const isCaughtUp = acknowledged - received <= behind * SAME_FACTOR;
    same = isCaughtUp && nowUs !== undefined && nowUs <= p99Us * SAME_FACTOR ? same + 1 : 0;
    // Back since the first of them.
    if (same === SAME_LOOKS) return (ms - (SAME_LOOKS - 1) * LOOK_MS) / 1000;
  }
  return undefined;
}

function rateOf(before: FleetLook, after: FleetLook): number {
  return ((after.received - before.received) * 1e6) / (after.atUs - before.atUs);
}
