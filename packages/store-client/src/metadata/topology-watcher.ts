import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { AccessRow } from '@sluice/meta/access/access-table';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { AddressBook } from '@sluice/rpc/address-book';
import type { ClockView, NodeReport, TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import type { Channel, Transport } from '@sluice/rpc/transport';

/**
 * Keeps a node's image of the cluster up to date from the leading coordinator, tells it which epoch this node acts on,
 * and reports to it what this node does. Coordinators come and go: it tries those it knows of in turn and follows their
 * hints. While none answers, the last image stays in force, so established publishing and consuming goes on; and it never
 * goes back to an older one, whoever sends it.
 */
export class TopologyWatcher {
  readonly topology: Topology;
  readonly #options: TopologyWatcherOptions;
  #channel: Channel<TopologyFeedRequest, TopologyUpdate> | undefined;
  #coordinator = 0;
  /** The coordinator at the other end serves this node: it sent something. */
  #served = false;
  #heardMs = 0;
  #retryAtMs = 0;
  #failures = 0;
  /** Followed since this node last waited. */
  #hints = 0;
  #turn = 0;
  #reportAtMs = 0;
  #reportSoon = false;
  #timer: NodeJS.Timeout | undefined;
  #started = false;
  #closed = false;
  #imaged: (() => void)[] = [];
  /** Of an image that is not complete yet. */
  #parts: { epoch: number; queues: QueueDefinition[] } | undefined;
  #accessParts: { epoch: number; rows: AccessRow[] } | undefined;
  readonly #listeners: ((topology: Topology, what: TopologyChange) => void)[] = [];

  static readonly REPORT_INTERVAL_MS = 1_000;
  /** A coordinator that leads says something every second. */
  static readonly SILENCE_MS = 3_000;
  static readonly BACKOFF_MIN_MS = 50;
  static readonly BACKOFF_MAX_MS = 1_000;
  static readonly HINTS_MAX = 3;

  constructor(options: TopologyWatcherOptions) {
    this.topology = options.topology;
    this.#options = options;
  }

  start(): void {
    this.#started = true;
    this.tick();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#leave();
  }

  /** Node id of the coordinator that serves this node; 0 while none does. */
  get coordinator(): number {
    return this.#served ? this.#coordinator : 0;
  }

  /** Resolves when this node has an image. */
  imaged(): Promise<void> {
    return new Promise((resolve) => {
      if (this.topology.epoch > 0) resolve();
      else this.#imaged.push(resolve);
    });
  }

  /** Called after every change, and at once when there is an image already. */
  onChange(listener: (topology: Topology, what: TopologyChange) => void): void {
    this.#listeners.push(listener);
    if (this.topology.epoch > 0) listener(this.topology, 'image');
  }

  /** The coordinator of this very node has come to lead: it need not be found by asking those there are in turn. */
  coordinatorLeads(nodeId: number): void {
    if (!this.#closed && !this.#served) this.#connect(nodeId);
  }

  /** Something the coordinator should know moved: a report goes out at the end of this turn. */
  reportSoon(): void {
    if (this.#reportSoon) return;
    this.#reportSoon = true;
    setImmediate(() => {
      this.#reportSoon = false;
      this.#report();
    });
  }

  /** Time passed. Called by its own timer; who drives time itself calls it instead of `start`. */
  tick(): void {
    if (this.#closed) return;
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#channel === undefined) {
      if (nowMs >= this.#retryAtMs) this.#connect(this.#next());
    } else if (nowMs - this.#heardMs > TopologyWatcher.SILENCE_MS) this.#retry();
    else if (nowMs >= this.#reportAtMs) this.#report();
    this.#tickWhenDue();
  }

  /** Not before there is something to do: while nothing moves, that is once a second. */
  #tickWhenDue(): void {
    if (!this.#started || this.#closed) return;
    const silentAtMs = this.#heardMs + TopologyWatcher.SILENCE_MS;
    const dueMs = this.#channel === undefined ? this.#retryAtMs : Math.min(this.#reportAtMs, silentAtMs);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.tick(), Math.max(1, Math.ceil(dueMs - this.#options.clock.monotonicMs())));
  }

  #next(): number {
    const known = this.topology.coordinators().map(({ nodeId }) => nodeId);
    const candidates = [...new Set([...known, ...this.#options.coordinators])];
    return candidates[this.#turn++ % Math.max(1, candidates.length)] ?? 0;
  }

  #connect(nodeId: number): void {
    this.#leave();
    if (nodeId === 0) {
      this.#backOff();
      return;
    }
    this.#coordinator = nodeId;
    this.#heardMs = this.#options.clock.monotonicMs();
    const channel = this.#options.transport.open<TopologyFeedRequest, TopologyUpdate>(nodeId, 'topology');
    this.#channel = channel;
    channel.onMessage((update) => {
      if (channel === this.#channel) this.#receive(update);
    });
    channel.onClose(() => {
      if (channel === this.#channel) this.#retry();
    });
    const { clusterId, epoch } = this.topology;
    channel.send({ type: 'watch', clusterId, epoch });
    this.#report();
    if (epoch > 0) void this.#acknowledge(epoch);
  }

  #leave(): void {
    const channel = this.#channel;
    this.#channel = undefined;
    this.#parts = undefined;
    this.#accessParts = undefined;
    this.#served = false;
    channel?.close();
  }

  #retry(): void {
    this.#leave();
    this.#backOff();
  }

  #backOff(): void {
    const wait = Math.min(TopologyWatcher.BACKOFF_MAX_MS, TopologyWatcher.BACKOFF_MIN_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 10);
    this.#hints = 0;
    this.#retryAtMs = this.#options.clock.monotonicMs() + wait;
    this.#tickWhenDue();
  }

  #receive(update: TopologyUpdate): void {
    this.#heardMs = this.#options.clock.monotonicMs();
    if (update.type === 'elsewhere') {
      this.#meet(update);
      this.#follow(update.leader);
      return;
    }
    this.#served = true;
    this.#failures = 0;
    this.#hints = 0;
    switch (update.type) {
      case 'image-part':
        if (this.#parts?.epoch !== update.epoch) this.#parts = { epoch: update.epoch, queues: [] };
        for (const definition of update.queues) this.#parts.queues.push(definition);
        return;
      case 'access-part':
        if (this.#accessParts?.epoch !== update.epoch) this.#accessParts = { epoch: update.epoch, rows: [] };
        for (const row of update.rows) this.#accessParts.rows.push(row);
        return;
      case 'image':
        this.#imageCame(update);
        return;
      case 'delta':
        if (update.epoch <= this.topology.epoch) return;
        if (update.epoch > this.topology.epoch + 1) {
          const { clusterId, epoch } = this.topology;
          this.#channel?.send({ type: 'watch', clusterId, epoch });
          return;
        }
        this.topology.applyDelta(update);
        this.#moved('delta');
        return;
      case 'liveness':
        this.#options.onClocks?.(update.clocks ?? []);
        if (this.topology.applyLiveness(update)) this.#tell('liveness');
        return;
      case 'assignments':
        this.topology.applyAssignments(update.assignments);
        this.#tell('assignments');
    }
  }

  #imageCame(image: Extract<TopologyUpdate, { type: 'image' }>): void {
    const { clusterId, epoch, ahead = 0, accessAhead = 0 } = image;
    const parts = this.#parts?.epoch === epoch ? this.#parts.queues : [];
    const access = this.#accessParts?.epoch === epoch ? this.#accessParts.rows.slice(-accessAhead) : [];
    this.#parts = undefined;
    this.#accessParts = undefined;
    if (!this.#isWelcome(clusterId, epoch)) return;
    // What is missing from an image is taken for removed: one that is not whole is asked for again.
    if (parts.length < ahead || access.length < accessAhead) {
      this.#retry();
      return;
    }
    const before = ahead === 0 ? [] : parts.slice(-ahead);
    const queues = ahead === 0 ? image.queues : before.concat(image.queues);
    this.topology.reset({ ...image, queues, access: accessAhead === 0 ? image.access : access });
    this.#moved('image');
  }

  /** A coordinator that has not noticed that others lead may send what was true once. */
  #isWelcome(clusterId: string, epoch: number): boolean {
    const { topology } = this;
    if (topology.clusterId === '' || (topology.clusterId === clusterId && epoch >= topology.epoch)) return true;
    this.#options.logger.warn(
      { coordinator: this.#coordinator, clusterId, epoch, have: topology.epoch },
      'a coordinator sent an image that is not newer than the one this node has',
    );
    this.#retry();
    return false;
  }

  /** A hint is newer than what this node remembers from its last start, and never than an image. */
  #meet({ leader, address = '', name }: Extract<TopologyUpdate, { type: 'elsewhere' }>): void {
    const { addresses } = this.#options;
    if (addresses === undefined || address === '') return;
    if (this.topology.epoch === 0 || addresses.entryOf(leader) === undefined) addresses.set(leader, address, name);
  }

  #follow(leader: number): void {
    // Two coordinators that point at each other are not asked without end. Hints are counted anew after each wait: who
    // leads may be nobody this node knows of, and found by a hint alone.
    if (leader === 0 || leader === this.#coordinator || this.#hints >= TopologyWatcher.HINTS_MAX) {
      this.#retry();
      return;
    }
    this.#hints++;
    this.#connect(leader);
  }

  #moved(what: 'image' | 'delta'): void {
    this.#tell(what);
    const { epoch } = this.topology;
    for (const resolve of this.#imaged.splice(0)) resolve();
    void this.#acknowledge(epoch);
  }

  #tell(what: TopologyChange): void {
    for (const listener of this.#listeners) listener(this.topology, what);
  }

  async #acknowledge(epoch: number): Promise<void> {
    const channel = this.#channel;
    await this.#options.acted();
    if (channel === this.#channel) channel?.send({ type: 'reached', epoch });
  }

  #report(): void {
    const channel = this.#channel;
    if (channel === undefined || this.#closed) return;
    this.#reportAtMs = this.#options.clock.monotonicMs() + TopologyWatcher.REPORT_INTERVAL_MS;
    channel.send({ type: 'report', report: this.#options.report() });
  }
}

/** Whether queues, nodes or places changed (`image`: anything may have), or only what is known for the moment. */
export type TopologyChange = 'image' | 'delta' | 'liveness' | 'assignments';

export interface TopologyWatcherOptions {
  topology: Topology;
  transport: Transport;
  /** Node ids to begin with; once there is an image, its coordinators are tried first. */
  coordinators: readonly number[];
  /** Takes where a leader listens that is known by a hint alone; undefined where the transport needs no addresses. */
  addresses?: AddressBook;
  clock: Clock;
  logger: Logger;
  /** Resolves when this node acts on the newest image; undefined when it does as soon as it has it. */
  acted: () => Promise<void> | undefined;
  /** What this node does now. Gateways name only queues that spread over several partitions. */
  report: () => NodeReport;
  /** What the coordinator knows of the nodes' clocks, as often as it says anything. */
  onClocks?: (clocks: readonly ClockView[]) => void;
}
