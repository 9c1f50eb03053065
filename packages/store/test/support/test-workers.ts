import { systemClock } from '@sluice/common/clock';
import { Topology } from '@sluice/meta/topology';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem, HeldItem } from '@sluice/rpc/contract/consume';
import { type ConsumerSink, PartitionConsumer } from '@sluice/store-client/consume/partition-consumer';
import { RouteTable } from '@sluice/store-client/route/route-table';
import type { StoreCluster } from './store-cluster.ts';
import { until } from './test-store.ts';

/** The workers of one gateway: its real way to the stores, without sockets. What a worker holds it holds on to. */
export class TestWorkers {
  readonly routes: RouteTable;
  readonly consumers: PartitionConsumer;
  readonly workers: TestWorker[] = [];

  constructor(cluster: StoreCluster, nodeId: number) {
    const topology = new Topology();
    topology.reset(cluster.image());
    this.routes = new RouteTable(topology);
    const transport = cluster.network.node(nodeId);
    this.consumers = new PartitionConsumer({ topology, routes: this.routes, transport, clock: systemClock });
    this.routes.onLeader((partition) => {
      for (const worker of this.workers) if (worker.partition === partition) worker.seek();
    });
    this.consumers.topologyChanged();
  }

  employ(window: number, partition = 1, queueId = 1): TestWorker {
    const worker = new TestWorker(this, partition, queueId, window);
    this.workers.push(worker);
    worker.seek();
    return worker;
  }

  close(): void {
    for (const worker of this.workers) worker.retire();
    this.consumers.close();
  }
}

export class TestWorker implements ConsumerSink {
  readonly partition: number;
  /** Everything it ever got. */
  readonly received: { offset: number; count: number; text: string }[] = [];
  /** Not answered yet, by offset. */
  readonly held = new Map<number, DeliverItem>();
  /** Of these, others have it. */
  readonly lostOffsets: number[] = [];
  onDelivered: (items: readonly DeliverItem[]) => void = () => {};
  readonly #gateway: TestWorkers;
  readonly #queueId: number;
  readonly #window: number;
  #consumerId = 0;
  #isRetired = false;

  static readonly RETRY_MS = 20;

  constructor(gateway: TestWorkers, partition: number, queueId: number, window: number) {
    this.#gateway = gateway;
    this.partition = partition;
    this.#queueId = queueId;
    this.#window = window;
  }

  get isAttached(): boolean {
    return this.#consumerId !== 0;
  }

  get texts(): string[] {
    return this.received.map(({ text }) => text);
  }

  async has(count: number): Promise<void> {
    await until(() => this.received.length >= count, `${count} deliveries, there are ${this.received.length}`, 10_000);
  }

  finish(...offsets: number[]): void {
    for (const offset of offsets) this.#settle(offset, true);
  }

  giveBack(offset: number): void {
    this.#settle(offset, false);
  }

  /** As a client that disconnects. */
  retire(): void {
    this.#isRetired = true;
    this.#gateway.consumers.detach(this.#consumerId);
  }

  /** Attaches where the partition is led, once that is known. */
  seek(): void {
    if (this.#isRetired || this.#consumerId !== 0) return;
    const { routes, consumers } = this.#gateway;
    const nodeId = routes.leaderOf(this.partition);
    if (nodeId === 0) return;
    const { partition } = this;
    this.#consumerId = consumers.attach({
      nodeId,
      partition,
      queueId: this.#queueId,
      window: this.#window,
      clientId: 'worker',
      generation: 0,
      held: [...this.held.values()].filter(({ offset }) => !this.lostOffsets.includes(offset)).map(claimOf),
      sink: this,
    });
  }

  delivered(items: readonly DeliverItem[]): void {
    for (const item of items) {
      const text = Buffer.from(new EncodedRecord(item.record).payload).toString();
      this.received.push({ offset: item.offset, count: item.deliveryCount, text });
      this.held.set(item.offset, item);
    }
    this.onDelivered(items);
  }

  waiting(): void {}

  lost(offsets: readonly number[]): void {
    this.lostOffsets.push(...offsets);
  }

  dismissed(): void {
    this.#consumerId = 0;
    setTimeout(() => this.seek(), TestWorker.RETRY_MS);
  }

  #settle(offset: number, accepted: boolean): void {
    const { partition } = this;
    const rowBase = this.held.get(offset)?.rowBase as number;
    this.held.delete(offset);
    const consumerId = this.lostOffsets.includes(offset) ? 0 : this.#consumerId;
    this.#gateway.consumers.settle(consumerId, { partition, queueId: this.#queueId, rowBase, offset }, accepted);
  }
}

function claimOf({ offset, rowBase, deliveryCount, record }: DeliverItem): HeldItem {
  return { offset, rowBase, deliveryCount, sizeBytes: record.length };
}
