import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import { isInternalQueue } from '@sluice/queue/machine/internal-queues';
import { writeBatchOrigin } from '@sluice/queue/record/batch-origin';
import type { RecordInput } from '@sluice/queue/record/record';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import type { Transport } from '@sluice/rpc/transport';
import type { RouteTable } from '../route/route-table.ts';
import { StoreLinks } from '../route/store-links.ts';
import { WatchTimer } from '../route/watch-timer.ts';
import type { AppendLink, RecordCompletion } from './partition-lane.ts';

/**
 * Stores groups of records that more than one gateway may bring, each record once.
 *
 * A gateway's own batches are numbered by that gateway's life (`partition-producer`): when it dies nobody can bring them
 * again without storing them twice. A group belongs to a partition instead, which numbers its groups, has one under way,
 * and may ask another gateway for the same one. So that partition is the producer, its group's number the number of the
 * batch, one batch for each partition that the group concerns: whoever brings it the second time is told that it is there.
 *
 * Every batch is sent until it is stored, to whoever may lead, but not for ever: the groups behind it wait.
 */
export class GroupProducer {
  readonly #routes: RouteTable;
  readonly #clock: Clock;
  readonly #links: StoreLinks<AppendRequest, AppendResponse>;
  readonly #underWay = new Map<number, GroupBatch>();
  #group: OpenGroup | undefined;
  #sequence = 0;
  readonly #patience: WatchTimer;

  static readonly LOOK_MS = 50;
  /** A store that does not answer at all is asked anew, or another one is. */
  static readonly ANSWER_MS_MAX = 2_000;
  /** Of a partition that nobody leads for so long, what the group had for it is given up. */
  static readonly DEADLINE_MS = 60_000;

  constructor(options: { routes: RouteTable; transport: Transport; clock: Clock }) {
    this.#routes = options.routes;
    this.#clock = options.clock;
    this.#links = new StoreLinks({
      service: 'append',
      transport: options.transport,
      clock: options.clock,
      received: (link, response) => this.#received(link, response),
      lost: (link) => this.#lost(link),
    });
    this.#patience = new WatchTimer(GroupProducer.LOOK_MS, () => this.#look());
  }

  /** What is added until `end` is of this group. */
  begin(partition: number, group: number): void {
    assert(this.#group === undefined, 'one group is put together after the other');
    this.#group = { origin: { producer: partition, sequence: group }, batches: new Map() };
  }

  /** The payload is copied before this returns; `completion` hears of its fate later, exactly once. */
  add(partition: number, record: RecordInput, completion: RecordCompletion): void {
    assert(this.#group !== undefined, 'a record is of the group that is put together');
    const { batches } = this.#group;
    let open = batches.get(partition);
    if (open === undefined) {
      open = { builder: new RecordBatchBuilder('numbered'), completions: [] };
      batches.set(partition, open);
    }
    open.builder.add(record);
    open.completions.push(completion);
  }

  /** The group is complete, and on its way. */
  end(): void {
    if (this.#group === undefined) return;
    const { origin, batches } = this.#group;
    this.#group = undefined;
    // Those before it are over: nothing is waited for.
    const before = origin.sequence - 1;
    for (const [partition, { builder, completions }] of batches) {
      const bytes = builder.finish();
      writeBatchOrigin(bytes, { ...origin, after: before, answeredTo: before });
      this.#send({
        partition,
        bytes,
        completions,
        untilMs: this.#clock.monotonicMs() + GroupProducer.DEADLINE_MS,
        sequence: 0,
        askedMs: 0,
        link: undefined,
      });
    }
  }

  /** Reading stops for what clients publish themselves. */
  get congested(): boolean {
    return false;
  }
  onRelief(): void {}

  /** Nobody hears of what is still unanswered. */
  close(): void {
    this.#patience.close();
    this.#underWay.clear();
    this.#links.close();
  }

  #send(batch: GroupBatch): void {
    this.#underWay.delete(batch.sequence);
    // A leader writes its stamp into the bytes, and one in this process may hold them as an entry: they stay its own.
    if (batch.sequence !== 0) batch.bytes = batch.bytes.slice();
    batch.sequence = ++this.#sequence;
    this.#underWay.set(batch.sequence, batch);
    this.#patience.watch();
    const nodeId = this.#routes.candidate(batch.partition);
    batch.link = nodeId === 0 ? undefined : this.#links.to(nodeId);
    batch.askedMs = this.#clock.monotonicMs();
    const { sequence, partition, bytes } = batch;
    batch.link?.channel.send({ sequence, partition, batch: bytes });
  }

  #received(link: AppendLink, response: AppendResponse): void {
    if (response.type === 'leading') {
      this.#routes.announced(response.partition, link.nodeId, response.term);
      return;
    }
    const batch = this.#underWay.get(response.sequence);
    if (batch?.link !== link) return;
    if (response.status === 'committed') {
      this.#underWay.delete(batch.sequence);
      for (const [slot, completion] of batch.completions.entries()) {
        // What the broker keeps for itself refuses nothing: a stream that is gone has nobody left to miss the record.
        const refusal = response.refused.find((each) => each.slot === slot && !isInternalQueue(each.queueId));
        if (refusal === undefined) completion.recordStored();
        else completion.recordFailed(refusal.code);
      }
      return;
    }
    if (response.status === 'not-leader' || response.status === 'unknown') {
      this.#routes.suspect(batch.partition, link.nodeId);
      this.#routes.hinted(batch.partition, response.leader);
    }
    // Sent again with the next look: at once it would go round in this turn.
    batch.link = undefined;
  }

  #lost(link: AppendLink): void {
    for (const batch of this.#underWay.values()) if (batch.link === link) batch.link = undefined;
  }

  /** Whether anything is under way. */
  #look(): boolean {
    const nowMs = this.#clock.monotonicMs();
    for (const batch of [...this.#underWay.values()]) {
      if (nowMs >= batch.untilMs) {
        this.#underWay.delete(batch.sequence);
        for (const completion of batch.completions) completion.recordFailed('unavailable');
      } else if (batch.link === undefined) this.#send(batch);
      else if (nowMs - batch.askedMs >= GroupProducer.ANSWER_MS_MAX) {
        this.#routes.suspect(batch.partition, batch.link.nodeId);
        this.#send(batch);
      }
    }
    return this.#underWay.size > 0;
  }
}

interface OpenGroup {
  readonly origin: { readonly producer: number; readonly sequence: number };
  readonly batches: Map<number, { builder: RecordBatchBuilder; completions: RecordCompletion[] }>;
}

interface GroupBatch {
  readonly partition: number;
  bytes: Uint8Array;
  readonly completions: readonly RecordCompletion[];
  readonly untilMs: number;
  /** Under which its answer is awaited. */
  sequence: number;
  askedMs: number;
  /** Undefined: to be sent. */
  link: AppendLink | undefined;
}
