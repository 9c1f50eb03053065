import { writeBatchOrigin } from '@sluice/queue/record/batch-origin';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import type { DeliverItem } from '@sluice/rpc/contract/consume';
import type { Channel } from '@sluice/rpc/transport';
import { plainRecord } from '../../../../test/harness/plain-record.ts';
import type { StoreCluster } from './store-cluster.ts';
import { until } from './test-store.ts';
import { type TestWorker, TestWorkers } from './test-workers.ts';

interface Pending {
  /** On the channel; 0 when it is not sent. */
  sequence: number;
  readonly number: number;
  readonly text: string;
}

/**
 * A gateway reduced to the rules it must keep: batches are numbered and go to whoever leads, many without waiting; after
 * a refusal or a lost channel everything unanswered goes again, in its order. Its consumers attach again wherever the
 * leader is.
 */
export class TestGateway {
  readonly acknowledged: string[] = [];
  /** Texts in the order of their first delivery, and all deliveries. */
  readonly received: string[] = [];
  readonly deliveries = new Map<string, number>();
  readonly leading: number[] = [];
  /** Other than committed. */
  readonly statuses = new Set<string>();
  /** What is published and not acknowledged, in order. */
  readonly #unanswered: Pending[] = [];
  readonly #cluster: StoreCluster;
  readonly #nodeId: number;
  readonly #partition: number;
  readonly #queueId: number;
  #append: Channel<AppendRequest, AppendResponse> | undefined;
  #leader = 0;
  #sequence = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #published = 0;
  #workers: TestWorkers | undefined;
  /** A consumer answers only while this is set. */
  answers = true;

  static readonly RETRY_MS = 20;

  constructor(cluster: StoreCluster, nodeId: number, partition: number, queueId: number) {
    this.#cluster = cluster;
    this.#nodeId = nodeId;
    this.#partition = partition;
    this.#queueId = queueId;
  }

  publish(text: string): void {
    const pending = { sequence: 0, number: ++this.#published, text };
    this.#unanswered.push(pending);
    if (this.#append === undefined) this.#again();
    else this.#send(pending);
  }

  get unanswered(): number {
    return this.#unanswered.length;
  }

  async allAcknowledged(): Promise<void> {
    await until(() => this.unanswered === 0, `everything is acknowledged, ${this.unanswered} are not`, 15_000);
  }

  /** Stays attached, wherever the partition is led, until the gateway closes. */
  consume(window: number): void {
    this.#workers ??= new TestWorkers(this.#cluster, this.#nodeId);
    const worker = this.#workers.employ(window, this.#partition, this.#queueId);
    worker.onDelivered = (items) => this.#delivered(worker, items);
  }

  get isAttached(): boolean {
    return this.#workers?.workers.some((worker) => worker.isAttached) === true;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#append?.close();
    this.#workers?.close();
  }

  #delivered(worker: TestWorker, items: readonly DeliverItem[]): void {
    for (const { offset, record } of items) {
      const text = Buffer.from(new EncodedRecord(record).payload).toString();
      const before = this.deliveries.get(text) ?? 0;
      if (before === 0) this.received.push(text);
      this.deliveries.set(text, before + 1);
      if (this.answers) worker.finish(offset);
    }
  }

  #send(pending: Pending): void {
    const builder = new RecordBatchBuilder('numbered');
    builder.add(plainRecord([{ queueId: this.#queueId, key: undefined }], { payload: Buffer.from(pending.text) }));
    const batch = builder.finish();
    const { number } = pending;
    const answeredTo = (this.#unanswered[0] as Pending).number - 1;
    writeBatchOrigin(batch, { producer: this.#nodeId, sequence: number, after: number - 1, answeredTo });
    pending.sequence = ++this.#sequence;
    this.#append?.send({ sequence: pending.sequence, partition: this.#partition, batch });
  }

  #answered(response: AppendResponse): void {
    if (response.type === 'leading') {
      this.leading.push(response.partition);
      return;
    }
    const at = this.#unanswered.findIndex(({ sequence }) => sequence === response.sequence);
    if (at === -1) return;
    if (response.status === 'committed') {
      if (response.refused.length > 0) throw new Error(`refused: ${JSON.stringify(response.refused)}`);
      const [answered] = this.#unanswered.splice(at, 1) as [Pending];
      this.acknowledged.push(answered.text);
    } else {
      this.#leader = response.leader;
      this.statuses.add(response.status);
      this.#drop();
    }
  }

  /** What is unanswered goes again, in a moment, to whoever leads then. */
  #drop(): void {
    const channel = this.#append;
    this.#append = undefined;
    for (const pending of this.#unanswered) pending.sequence = 0;
    channel?.close();
    this.#again();
  }

  #again(): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const leader = this.#leader === 0 ? this.#cluster.leaderNow(this.#partition) : this.#leader;
      this.#leader = 0;
      if (leader === 0) return this.#again();
      const channel = this.#cluster.network.node(this.#nodeId).open<AppendRequest, AppendResponse>(leader, 'append');
      this.#append = channel;
      channel.onMessage((response) => {
        if (this.#append === channel) this.#answered(response);
      });
      channel.onClose(() => {
        if (this.#append === channel) this.#drop();
      });
      for (const pending of this.#unanswered) this.#send(pending);
    }, TestGateway.RETRY_MS);
  }
}
