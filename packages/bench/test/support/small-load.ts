import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConsumingSide } from '@sluice/bench/load/consuming-side';
import type { Driver } from '@sluice/bench/load/driver';
import { PublishingSide } from '@sluice/bench/load/publishing-side';
import { judgeSequences, type SequenceVerdict } from '@sluice/bench/load/sequence-verdict';
import { consumersOf, needOf, publishersOf } from '@sluice/bench/run/fleet-plans';
import type { Channel, Peer, RunningPeer } from '@sluice/bench/run/peer';
import { StartedProcesses } from '@sluice/bench/run/started-processes';
import type { Flow } from '@sluice/bench/run/workload';

export const SMALL_FLOW: Flow = {
  channel: 'queue',
  qos: 1,
  publishers: 2,
  consumers: 2,
  payloadBytes: 256,
  window: 16,
  prefetch: 16,
  backlogMax: 100,
  keys: 1,
  workMs: [0],
};

const COME_MS_MAX = 30_000;
const POLL_MS = 5;

/** A broker of its own on a temporary directory. */
export class PeerUnderTest {
  readonly #processes = new StartedProcesses();
  readonly #directory: string;
  running!: RunningPeer;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async start(peer: Peer): Promise<PeerUnderTest> {
    const started = new PeerUnderTest(await mkdtemp(join(tmpdir(), 'sluice-bench-test-')));
    try {
      started.running = await peer.start({ directory: started.#directory, processes: started.#processes });
    } catch (error) {
      await started.dispose();
      throw error;
    }
    return started;
  }

  async dispose(): Promise<void> {
    await this.running?.stop();
    await this.#processes.stopAll();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export interface SmallResult {
  verdict: SequenceVerdict;
  receivedBy: number[];
  sent: number[];
}

const RUN = 4_711;

/**
 * The load as its processes run it, here in this one: `messages` are published, and `comes` of them awaited (all, times
 * the audiences).
 */
export async function runSmallLoad(
  channel: Channel,
  flow: Flow,
  messages: number,
  drivers: { publish: Driver; consume: Driver },
  comes = messages * (flow.channel === 'fan-out' ? flow.consumers : 1),
): Promise<SmallResult> {
  let failure: Error | undefined;
  const fail = (error: Error) => {
    failure ??= error;
  };
  let tell = (_messages: number): void => {};
  const consumers = consumersOf(flow, channel, RUN);
  const consuming = await ConsumingSide.connect(consumers, drivers.consume, (got) => tell(got), fail);
  const options = { run: RUN, perSecond: 0, messagesMax: messages };
  const publishing = await PublishingSide.connect(publishersOf(flow, channel, options), drivers.publish, fail);
  tell = (got) => publishing.consumed(got);
  try {
    publishing.open();
    const endMs = performance.now() + COME_MS_MAX;
    const isDone = () => consuming.look().received >= comes && (comes < messages || publishing.look().isDone);
    while (!isDone()) {
      if (failure !== undefined) throw failure;
      if (performance.now() > endMs) throw new Error(`${consuming.look().received} of ${comes} came`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    const { publishers } = publishing.accounts();
    return {
      verdict: judgeSequences(publishers, consuming.accounts().audiences),
      receivedBy: consuming.look().receivedBy,
      sent: publishers.map(({ sent }) => sent),
    };
  } finally {
    await Promise.all([publishing.end(), consuming.end()]);
  }
}

export async function channelOf(peer: RunningPeer, flow: Flow, name: string): Promise<Channel> {
  const channel = await peer.open(needOf(flow, name));
  if (channel === undefined) throw new Error(`no ${flow.channel} here`);
  return channel;
}
