import type { Address } from '../load/driver.ts';
import type { SequenceVerdict } from '../load/sequence-verdict.ts';
import { MQTT_DRIVER } from '../mqtt/mqtt-driver.ts';
import { digits, percent } from '../report/figures-table.ts';
import { needOf } from './fleet-plans.ts';
import { measureFlow } from './measure-flow.ts';
import type { Figures } from './measurement.ts';
import type { Channel, ChannelNeed, RunningPeer, Way } from './peer.ts';
import { createQueues, deleteQueues, type Rest, sourcesOf, topicsOf } from './sluice-queues.ts';
import type { Flow } from './workload.ts';

export interface Remote {
  flow: Flow;
  addresses: readonly Address[];
  rest: Rest;
  credentials: Readonly<Record<string, string>>;
  /** Of the broker, when it runs on this machine. */
  pids: readonly number[];
  perSecond: number;
  warmUpMs: number;
  measureMs: number;
}

/** One flow against a broker somebody else has started. It leaves nothing behind: the queue is its own, and removed. */
export class RemoteBench {
  readonly #remote: Remote;

  constructor(remote: Remote) {
    this.#remote = remote;
  }

  /** False when a message is missing. */
  async run(isJson: boolean): Promise<boolean> {
    const { flow, rest, perSecond, warmUpMs, measureMs } = this.#remote;
    const run = process.pid % 0x100_0000;
    const need = needOf(flow, `${run}-${Date.now()}`);
    await createQueues(rest, need);
    try {
      const workload = { kind: 'flow', name: 'remote', title: '', flow, perSecond, warmUpMs, measureMs } as const;
      // As long as something comes: whoever looks on sees it, and may end it.
      const drain = {
        withinMs: Number.POSITIVE_INFINITY,
        say: (line: string) => void process.stderr.write(`${line}\n`),
      };
      const { figures, sequences } = await measureFlow(
        workload,
        this.#peer(),
        this.#channel(need),
        run,
        undefined,
        drain,
      );
      process.stdout.write(
        isJson ? `${JSON.stringify({ figures, sequences }, null, 2)}\n` : textOf(figures, sequences),
      );
      return flow.qos === 0 || sequences.lost === 0;
    } finally {
      await deleteQueues(rest, need);
    }
  }

  #channel(need: ChannelNeed): Channel {
    const { addresses, credentials, flow } = this.#remote;
    const way: Way = {
      driver: MQTT_DRIVER,
      addresses,
      topics: topicsOf(need),
      sources: sourcesOf(need),
      options: { version: 5, qos: flow.qos, ...credentials },
    };
    return { publish: way, consume: way };
  }

  #peer(): RunningPeer {
    return {
      startMs: 0,
      pids: this.#remote.pids,
      directories: [],
      open: async (need) => this.#channel(need),
      stop: async () => {},
    };
  }
}

function textOf(figures: Figures, sequences: SequenceVerdict): string {
  const { rate, cpuUs, rssMb, loadShare, p50Ms, p99Ms, p999Ms, ackP50Ms, ackP99Ms, refused } = figures;
  const lines: [string, string][] = [
    ['delivered', `${digits(rate)} msg/s`],
    ['due to delivered', `p50 ${digits(p50Ms)}, p99 ${digits(p99Ms)}, p99.9 ${digits(p999Ms)} ms`],
    ['due to acknowledged', `p50 ${digits(ackP50Ms)}, p99 ${digits(ackP99Ms)} ms`],
  ];
  if (cpuUs !== undefined) lines.push(['broker', `${digits(cpuUs)} µs a message, ${digits(rssMb)} MB`]);
  lines.push(['generator', `${percent(loadShare)} % of a core`]);
  if (refused !== undefined) lines.push(['refused', String(refused)]);
  const { lost, duplicated, outOfOrder } = sequences;
  lines.push(['checked', `lost ${lost}, duplicated ${duplicated}, out of order ${outOfOrder}`]);
  return lines.map(([name, value]) => `${`${name}:`.padEnd(21)} ${value}\n`).join('');
}
