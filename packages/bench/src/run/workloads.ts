import type {
  BacklogWorkload,
  FlatStep,
  FlatWorkload,
  Flow,
  FlowWorkload,
  IdleWorkload,
  StartWorkload,
  SurgeWorkload,
  Workload,
} from './workload.ts';

const SMALL_BYTES = 256;
const IMAGE_BYTES = 256 * 1024;
/** Ten seconds of images are some thousand, and code is compiled by how often it ran. */
const IMAGES_WARM_UP_MESSAGES = 1_500;
/** Nearly each has turns and frames of its own, which no flow at full speed runs through as often. */
const LATENCY_WARM_UP_MESSAGES = { full: 20_000, quick: 6_000 } as const;
/** A rate that every broker here keeps with cores to spare. */
const PACED_PER_SECOND = 2_000;

const TASK_QUEUE: Flow = {
  channel: 'queue',
  qos: 1,
  publishers: 4,
  consumers: 4,
  payloadBytes: SMALL_BYTES,
  window: 256,
  prefetch: 256,
  backlogMax: 5_000,
  keys: 1,
  workMs: [0],
};

/** Less than brokers keep for a live subscriber by default: beyond it they drop, and then all compare differently. */
export const FAN_OUT_BACKLOG_MAX = 1_000;

interface Durations {
  warmUpMs: number;
  measureMs: number;
}

const FULL: Durations = { warmUpMs: 2_000, measureMs: 8_000 };
const QUICK: Durations = { warmUpMs: 1_000, measureMs: 3_500 };

function flowOf(
  name: string,
  title: string,
  flow: Partial<Flow>,
  perSecond: number,
  durations: Durations,
): FlowWorkload {
  return { kind: 'flow', name, title, flow: { ...TASK_QUEUE, ...flow }, perSecond, ...durations };
}

function fanOut(consumers: number, qos: 0 | 1, durations: Durations): FlowWorkload {
  const flow: Partial<Flow> = { channel: 'fan-out', qos, publishers: 1, consumers, backlogMax: FAN_OUT_BACKLOG_MAX };
  const title = `fan-out 1:${consumers} at QoS ${qos}, 256 B, window 256, per delivery`;
  return flowOf(`fan-${consumers}-qos${qos}`, title, flow, 0, durations);
}

/** Everything, in the order of the report. */
export function allWorkloads(): Workload[] {
  const start: StartWorkload = {
    kind: 'start',
    name: 'start',
    title: 'cold start until a client is answered by every node, and what an empty broker costs',
    idleMs: 3_000,
  };
  const idle: IdleWorkload = {
    kind: 'idle',
    name: 'idle-10k',
    title: '10,000 connections that do nothing',
    connections: 10_000,
    settleMs: 3_000,
  };
  const backlog: BacklogWorkload = {
    kind: 'backlog',
    name: 'backlog',
    title: 'a backlog of 5,000,000 messages of 256 B, drained by 4 while publishing goes on at a quarter of its rate',
    flow: { ...TASK_QUEUE, backlogMax: 0 },
    messages: 5_000_000,
    publishShare: 0.25,
    drainMsMax: 900_000,
  };
  const surge: SurgeWorkload = {
    kind: 'surge',
    name: 'surge',
    title: 'half of what 4/4 sustain, then five times what they sustain for 60 s, then half again',
    // A surge is no surge when the generator waits for answers.
    flow: { ...TASK_QUEUE, window: 1_024 },
    findMs: 16_000,
    steadyMs: 10_000,
    surgeMs: 60_000,
    factor: 5,
    recoverMsMax: 180_000,
  };
  return [
    flowOf('task-4x4', 'task queue, 4 publishers, 4 consumers, 256 B, windows of 256', {}, 0, FULL),
    flowOf(
      'task-1x1',
      'task queue, 1 publisher, 1 consumer, 256 B, windows of 256',
      { publishers: 1, consumers: 1 },
      0,
      FULL,
    ),
    { ...flowOf('images-4x4', ...imagesOf(FULL)), warmUpMessages: IMAGES_WARM_UP_MESSAGES },
    latency('full', FULL),
    flowOf(
      'slow-worker',
      '300 msg/s, three workers take 5 ms a message and one 100 ms, one message each',
      { publishers: 1, prefetch: 1, workMs: [100, 5, 5, 5] },
      300,
      FULL,
    ),
    flowOf(
      'last-value',
      'last-value queue, 10,000 keys, 4 publishers, 1 consumer, 256 B, windows of 256; per message published',
      { channel: 'last-value', consumers: 1, keys: 10_000, backlogMax: 0 },
      0,
      FULL,
    ),
    ...[1, 10, 100].flatMap((consumers) => [fanOut(consumers, 0, FULL), fanOut(consumers, 1, FULL)]),
    ...flats(5_000_000, 10_000, FULL, LATENCY_WARM_UP_MESSAGES.full),
    start,
    idle,
    backlog,
    surge,
  ];
}

/** The most telling ones, short. */
export function quickWorkloads(): Workload[] {
  return [
    flowOf('task-4x4', 'task queue, 4 publishers, 4 consumers, 256 B, windows of 256', {}, 0, QUICK),
    latency('quick', { warmUpMs: 500, measureMs: 2_500 }),
  ];
}

/** Any workload, as short as `--quick` has it. */
export function shortened(workload: Workload): Workload {
  switch (workload.kind) {
    case 'flow':
      return quickWorkloads().find(({ name }) => name === workload.name) ?? { ...workload, ...QUICK };
    case 'flat':
      return flats(200_000, 1_000, QUICK, LATENCY_WARM_UP_MESSAGES.quick).find(
        ({ name }) => name === workload.name,
      ) as FlatWorkload;
    case 'backlog':
      return { ...workload, messages: 200_000, title: workload.title.replace('5,000,000', '200,000') };
    case 'surge':
      return {
        ...workload,
        findMs: 8_000,
        steadyMs: 4_000,
        surgeMs: 8_000,
        recoverMsMax: 60_000,
        title: workload.title.replace('60 s', '8 s'),
      };
    case 'idle':
      return { ...workload, connections: 1_000, title: '1,000 connections that do nothing' };
    case 'start':
      return { ...workload, idleMs: 1_000 };
  }
}

type FlowParts = [title: string, flow: Partial<Flow>, perSecond: number, durations: Durations];

function imagesOf(durations: Durations): FlowParts {
  const flow = { payloadBytes: IMAGE_BYTES, window: 8, prefetch: 16, backlogMax: 64 };
  return ['task queue, 4 publishers, 4 consumers, 256 KB of random bytes, windows of 8', flow, 0, durations];
}

function latency(length: keyof typeof LATENCY_WARM_UP_MESSAGES, durations: Durations): FlowWorkload {
  const title = 'task queue at 2,000 msg/s, 2 publishers, 2 consumers, 256 B: latency';
  const workload = flowOf('latency', title, { publishers: 2, consumers: 2 }, PACED_PER_SECOND, durations);
  return { ...workload, warmUpMessages: LATENCY_WARM_UP_MESSAGES[length] };
}

/** Of code that every message runs through. */
const FLAT_WARM_UP_MESSAGES = 100_000;

/**
 * What a message costs must not grow with how much of anything there is.
 *
 * At full speed the first step shares its turns, frames and writes among hundreds of messages, which over many queues or
 * consumers nothing can: that says what the worst case costs. At a rate all steps have turns of the same size.
 */
function flats(backlog: number, queues: number, durations: Durations, pacedWarmUpMessages: number): FlatWorkload[] {
  const flat = (name: string, title: string, steps: readonly FlatStep[]): FlatWorkload => ({
    kind: 'flat',
    name,
    title: `${title}; 256 B, 4 publishers, windows of 256`,
    steps,
    perSecond: 0,
    warmUpMessages: FLAT_WARM_UP_MESSAGES,
    ...durations,
  });
  const paced = (workload: FlatWorkload): FlatWorkload => ({
    ...workload,
    name: `${workload.name}-paced`,
    title: `${PACED_PER_SECOND.toLocaleString('en')} msg/s: ${workload.title}`,
    perSecond: PACED_PER_SECOND,
    warmUpMessages: pacedWarmUpMessages,
  });
  const step = (label: string, flow: Partial<Flow>, lies = 0): FlatStep => ({
    label,
    flow: { ...TASK_QUEUE, ...flow },
    backlog: lies,
  });
  const [most, many] = [backlog, queues].map((count) => count.toLocaleString('en')) as [string, string];
  const overQueues = flat('flat-queues', `messages over 1, 100 and ${many} queues in turn, 4 consumers`, [
    step('1 queue', {}),
    step('100 queues', { channel: 'queues', keys: 100 }),
    step(`${many} queues`, { channel: 'queues', keys: queues }),
  ]);
  const overConsumers = flat('flat-consumers', 'one queue with 1 consumer and with 1,000', [
    step('1 consumer', { consumers: 1 }),
    step('1,000 consumers', { consumers: 1_000 }),
  ]);
  return [
    overQueues,
    paced(overQueues),
    flat('flat-backlog', `a queue that is empty, and one with ${most} messages before every new one, 4 consumers`, [
      step('empty', {}),
      step(`${most} behind`, {}, backlog),
    ]),
    overConsumers,
    paced(overConsumers),
  ];
}
