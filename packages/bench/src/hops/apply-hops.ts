import { assert } from '@sluice/common/assert';
import { FetchList, RowBatch } from '@sluice/multiraft/apply/row-batch';
import { RowCache } from '@sluice/multiraft/apply/row-cache';
import { encodeCommand } from '@sluice/queue/machine/command/command-codec';
import { stampCommand } from '@sluice/queue/machine/command/command-header';
import type { SettleRow } from '@sluice/queue/machine/command/commands';
import type { Effect } from '@sluice/queue/machine/effects';
import { QueueMachine } from '@sluice/queue/machine/queue-machine';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import { type Hop, type PreparedHop, SMALL_BYTES, TURN_MESSAGES } from './hop.ts';
import { batchOf } from './record-hops.ts';

const GROUP = 1;

/** What a turn costs once it is committed: the machine, and the rows it reads and writes, all in memory. */
export function applyHops(): Hop[] {
  return [
    { name: 'apply-append', what: 'a turn of 64 for one queue', prepare: () => appending(1) },
    { name: 'apply-append-64q', what: 'a turn of 64 for 64 queues', prepare: () => appending(TURN_MESSAGES) },
    { name: 'apply-both', what: 'the same for one queue, and settled', prepare: () => appendingAndSettling(1) },
    {
      name: 'apply-both-64q',
      what: 'the same for 64 queues, and settled',
      prepare: () => appendingAndSettling(TURN_MESSAGES),
    },
  ];
}

/** A partition's machine, with the order of calls its host keeps. */
class Partition {
  readonly #machine = QueueMachine.restore([]);
  readonly #cache = new RowCache();
  readonly #engine = new MemoryEngine();
  #index = 0;
  /** What the engine would be given. */
  written = 0;

  async apply(command: Uint8Array): Promise<void> {
    const commands = [command];
    const rows = new RowBatch(this.#cache);
    const wanted = new FetchList();
    const view = rows.view(GROUP);
    const want = (key: Uint8Array): void => wanted.add(rows, view, key);
    this.#machine.neededRows(commands, want);
    await wanted.run(this.#engine, rows);
    this.#machine.furtherRows(commands, view, want);
    await wanted.run(this.#engine, rows);
    stampCommand(command, ++this.#index);
    const effects: Effect[] = [];
    this.#machine.apply(this.#index, command, view, effects);
    this.#machine.flush(view);
    this.written += rows.writes().length;
  }

  async configure(queues: number): Promise<void> {
    for (let queueId = 1; queueId <= queues; queueId++) {
      const limits = { countMax: null, bytesMax: null, overflow: 'refuse' } as const;
      const config = { queueId, version: 1, name: `queue-${queueId}`, isLastValue: false, ...limits };
      await this.apply(encodeCommand({ type: 'configure-queue', config }));
    }
  }

  get depth(): number {
    return this.#machine.depth;
  }
}

async function appending(queues: number): Promise<PreparedHop> {
  const partition = new Partition();
  await partition.configure(queues);
  const batch = batchOf(TURN_MESSAGES, SMALL_BYTES, queues);
  return { messages: TURN_MESSAGES, round: () => partition.apply(batch) };
}

async function appendingAndSettling(queues: number): Promise<PreparedHop> {
  const partition = new Partition();
  await partition.configure(queues);
  const batch = batchOf(TURN_MESSAGES, SMALL_BYTES, queues);
  const each = TURN_MESSAGES / queues;
  let base = 0;
  return {
    messages: TURN_MESSAGES,
    async round() {
      await partition.apply(batch);
      const rows: SettleRow[] = [];
      for (let queueId = 1; queueId <= queues; queueId++) {
        rows.push({ queueId, rowBase: base, accepted: [base, base + each] });
      }
      base += each;
      await partition.apply(encodeCommand({ type: 'settle', rows }));
      assert(partition.depth === 0, 'all that was appended is settled');
    },
  };
}
