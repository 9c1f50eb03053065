import { setTimeout as wait } from 'node:timers/promises';
import { LoadFleet } from '../load/load-fleet.ts';
import type { SequenceVerdict } from '../load/sequence-verdict.ts';
import { consumersOf, needOf, publishersOf } from './fleet-plans.ts';
import { type FlowResult, measureFleet } from './measure-flow.ts';
import type { Figures } from './measurement.ts';
import type { Channel, RunningPeer } from './peer.ts';
import type { FlatStep, FlatWorkload } from './workload.ts';

const LOOK_MS = 200;
const STILL_MS = 10_000;
const DRAIN_MS_MAX = 900_000;
const STEP_FIGURES = ['firstCpuUs', 'secondCpuUs', 'thirdCpuUs'] as const;

/**
 * One flow after the other in the same processes, each over more of something, each with queues of its own. What is
 * compared is processor time a message: of the first step to that of each other.
 *
 * Undefined when the peer has nothing of the kind.
 */
export async function measureFlat(
  workload: FlatWorkload,
  peer: RunningPeer,
  run: number,
  say: (text: string) => void,
): Promise<FlowResult | undefined> {
  const { perSecond, warmUpMs, warmUpMessages, measureMs } = workload;
  const figures: Figures = {};
  const sequences: SequenceVerdict = { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 };
  const notes: string[] = [];
  const [first] = workload.steps as [FlatStep];
  // Once more before all others: code that is still being compiled would make the first dear and the others cheap.
  for (const [i, step] of [first, ...workload.steps].entries()) {
    const { flow, label } = step;
    const channel = await peer.open(needOf(flow, `${workload.name}-${run}-${i}`));
    if (channel === undefined) return undefined;
    const fleet =
      step.backlog === 0
        ? await started(step, channel, { run, perSecond })
        : await behind(step, channel, { run, perSecond }, say);
    const result = await measureFleet({ flow, warmUpMs, warmUpMessages, measureMs }, peer, fleet, DRAIN_MS_MAX);
    if (i === 0) continue;
    const { cpuUs, rate } = result.figures;
    if (cpuUs === undefined) continue;
    say(`${label}: ${cpuUs.toFixed(1)} µs, ${Math.round(rate ?? 0)} msg/s`);
    figures[STEP_FIGURES[i - 1] as (typeof STEP_FIGURES)[number]] = cpuUs;
    if (i > 1) figures.timesMost = Math.max(figures.timesMost ?? 0, cpuUs / (figures.firstCpuUs as number));
    for (const name of Object.keys(sequences) as (keyof SequenceVerdict)[]) sequences[name] += result.sequences[name];
    notes.push(...result.notes.map((note) => `${label}: ${note}`));
  }
  return { figures, sequences, shares: [], notes };
}

interface Run {
  run: number;
  perSecond: number;
}

function started({ flow }: FlatStep, channel: Channel, { run, perSecond }: Run): Promise<LoadFleet> {
  const plan = publishersOf(flow, channel, { run, perSecond, messagesMax: 0 });
  return LoadFleet.start(plan, consumersOf(flow, channel, run));
}

/** A fleet whose consumers find so much before them, and whose publishers keep it at that. */
async function behind(
  { flow, backlog }: FlatStep,
  channel: Channel,
  { run, perSecond }: Run,
  say: (text: string) => void,
): Promise<LoadFleet> {
  const plan = publishersOf({ ...flow, backlogMax: 0 }, channel, { run, perSecond: 0, messagesMax: 0 });
  const fleet = await LoadFleet.start(plan, undefined);
  try {
    fleet.open();
    while ((await fleet.look()).acknowledged < backlog) await wait(LOOK_MS);
    await fleet.close();
    const { acknowledged } = await fleet.drained(1, STILL_MS);
    say(`${acknowledged} lie in the queue`);
    await fleet.consume(consumersOf(flow, channel, run));
    fleet.change(perSecond / flow.publishers, acknowledged + flow.backlogMax);
    return fleet;
  } catch (error) {
    await fleet.end();
    throw error;
  }
}
