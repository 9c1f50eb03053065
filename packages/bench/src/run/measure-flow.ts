import { setTimeout as wait } from 'node:timers/promises';
import type { LatencySketch } from '../load/latency-sketch.ts';
import { type FleetLook, LoadFleet } from '../load/load-fleet.ts';
import type { SequenceVerdict } from '../load/sequence-verdict.ts';
import { type BrokerLook, BrokerWatch } from './broker-watch.ts';
import type { DataDisk } from './data-disk.ts';
import { DrainProgress } from './drain-progress.ts';
import { consumersOf, publishersOf } from './fleet-plans.ts';
import { type DiskCount, type Figures, MB } from './measurement.ts';
import type { Channel, RunningPeer } from './peer.ts';
import type { Flow, FlowWorkload } from './workload.ts';

/** Nothing moved for so long: what has not come does not come. */
const STILL_MS = 5_000;
/** Without acknowledgements what is lost is lost. */
const STILL_QOS0_MS = 500;

export interface FlowResult {
  figures: Figures;
  sequences: SequenceVerdict;
  shares: number[];
  notes: string[];
  /** Undefined when nothing was counted. */
  disk?: DiskCount;
}

/** Publishers and consumers side by side: warm up, measure a while, and see that everything has come. */
export async function measureFlow(
  workload: FlowWorkload,
  peer: RunningPeer,
  channel: Channel,
  run: number,
  disk?: DataDisk,
  drain?: Drain,
): Promise<FlowResult> {
  const { flow, perSecond } = workload;
  const options = { run, perSecond, messagesMax: 0 };
  const fleet = await LoadFleet.start(publishersOf(flow, channel, options), consumersOf(flow, channel, run));
  return await measureFleet(workload, peer, fleet, drain?.withinMs, disk, drain?.say);
}

/** How long what was published is waited for while it comes, and who is told how far it has. */
export interface Drain {
  withinMs: number;
  say: (line: string) => void;
}

/** From before publishing begins to the end of the fleet. */
export async function measureFleet(
  workload: Pick<FlowWorkload, 'flow' | 'warmUpMs' | 'warmUpMessages' | 'measureMs'>,
  peer: RunningPeer,
  fleet: LoadFleet,
  drainMsMax?: number,
  disk?: DataDisk,
  say?: (line: string) => void,
): Promise<FlowResult> {
  const { flow } = workload;
  const watch = new BrokerWatch(peer);
  try {
    fleet.open();
    await wait(workload.warmUpMs);
    await warmedUp(fleet, workload.warmUpMessages ?? 0);
    const diskBefore = watch.isBlind ? undefined : await disk?.mark();
    const before = await fleet.look();
    const brokerBefore = watch.begin();
    await wait(workload.measureMs);
    const after = await fleet.look();
    const brokerAfter = watch.end();
    await fleet.close();
    // Who is at a message says nothing of it before it is done.
    const stillMs = (flow.qos === 0 ? STILL_QOS0_MS : STILL_MS) + Math.max(...flow.workMs);
    const progress = say === undefined ? undefined : new DrainProgress(say, performance.now());
    const drained = await fleet.drained(audiencesOf(flow), stillMs, drainMsMax, (look, awaited) => {
      progress?.looked(look.received, awaited, performance.now());
    });
    const diskAfter = diskBefore === undefined ? undefined : await disk?.mark();
    const sequences = await fleet.verdict();
    return {
      figures: {
        ...figuresBetween(flow, before, after),
        ...latenciesOf(after),
        ...(watch.isBlind ? {} : brokerFigures(flow, before, after, brokerBefore, brokerAfter)),
        ...(watch.isBlind ? {} : { rssMb: watch.rssMostBytes / MB }),
        ...(disk === undefined || diskBefore === undefined || diskAfter === undefined
          ? {}
          : { writtenBytes: disk.between(diskBefore, diskAfter) / Math.max(1, storedBetween(flow, before, drained)) }),
        ...(drained.refused > 0 ? { refused: drained.refused } : {}),
      },
      sequences,
      shares: after.receivedBy.map((received, i) => received - (before.receivedBy[i] ?? 0)),
      ...(watch.isBlind ? {} : { disk: diskAfter === undefined ? 'processes' : 'device' }),
      notes: [
        ...(drained.refused > 0 ? [`${drained.refused} publishes were refused`] : []),
        ...(isGeneratorFull(before, after)
          ? ['the generator was the limit: a process of it had a core to itself']
          : []),
      ],
    };
  } finally {
    await fleet.end();
  }
}

/** Code is compiled by how often it ran, and a broker that gets little of a busy machine has not run it in any fixed time. */
async function warmedUp(fleet: LoadFleet, messages: number): Promise<void> {
  const endMs = performance.now() + WARM_UP_MS_MAX;
  let look = await fleet.look();
  while (look.received < messages && performance.now() < endMs) {
    await wait(WARM_UP_LOOK_MS);
    look = await fleet.look();
  }
}
const WARM_UP_MS_MAX = 60_000;
const WARM_UP_LOOK_MS = 100;

function audiencesOf(flow: Flow): number {
  return flow.channel === 'fan-out' ? flow.consumers : 1;
}

/** What is counted: deliveries; of a last-value queue what is published, since most of it is never delivered. */
function messagesBetween(flow: Flow, before: FleetLook, after: FleetLook): number {
  if (flow.channel === 'last-value') return after.acknowledged - before.acknowledged;
  return after.received - before.received;
}

/**
 * What the device was given between two looks belongs to what was published there: with what was published before and
 * delivered after, a flow of few large messages would show less than it writes.
 */
function storedBetween(flow: Flow, before: FleetLook, after: FleetLook): number {
  return (after.acknowledged - before.acknowledged) * audiencesOf(flow);
}

function figuresBetween(flow: Flow, before: FleetLook, after: FleetLook): Figures {
  const messages = messagesBetween(flow, before, after);
  const elapsedUs = after.atUs - before.atUs;
  const cpuUs = after.cpuUs - before.cpuUs;
  return {
    rate: (messages * 1e6) / elapsedUs,
    loadShare: cpuUs / elapsedUs,
    loadCpuUs: cpuUs / Math.max(1, messages),
  };
}

/** Of one core: beyond it a process of the generator has no time left. */
const FULL_SHARE = 0.9;

function isGeneratorFull(before: FleetLook, after: FleetLook): boolean {
  const elapsedUs = after.atUs - before.atUs;
  return after.cpuUsBy.some((cpuUs, i) => cpuUs - (before.cpuUsBy[i] ?? 0) > FULL_SHARE * elapsedUs);
}

function brokerFigures(
  flow: Flow,
  before: FleetLook,
  after: FleetLook,
  brokerBefore: BrokerLook,
  brokerAfter: BrokerLook,
): Figures {
  const messages = Math.max(1, messagesBetween(flow, before, after));
  const [written, writtenBefore] = [brokerAfter.writtenBytes, brokerBefore.writtenBytes];
  return {
    cpuUs: (brokerAfter.cpuUs - brokerBefore.cpuUs) / messages,
    grownBytes: (brokerAfter.directoryBytes - brokerBefore.directoryBytes) / messages,
    ...(written === undefined || writtenBefore === undefined
      ? {}
      : processBytesOf((written - writtenBefore) / messages)),
  };
}

/** They stand for the device where that does not count. */
export function processBytesOf(bytes: number): Figures {
  return { processBytes: bytes, writtenBytes: bytes };
}

export function latenciesOf(look: FleetLook): Figures {
  return {
    ...percentile('p50Ms', look.endToEnd, 0.5),
    ...percentile('p99Ms', look.endToEnd, 0.99),
    ...percentile('p999Ms', look.endToEnd, 0.999),
    ...percentile('ackP50Ms', look.publishing, 0.5),
    ...percentile('ackP99Ms', look.publishing, 0.99),
  };
}

function percentile(name: keyof Figures, sketch: LatencySketch, share: number): Figures {
  const us = sketch.percentileUs(share);
  return us === undefined ? {} : { [name]: us / 1000 };
}
