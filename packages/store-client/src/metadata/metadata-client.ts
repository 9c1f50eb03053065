import type { Clock } from '@sluice/common/clock';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import type { MetaReply } from '@sluice/meta/meta-reply';
import type { Topology } from '@sluice/meta/topology';
import type { MetadataRequest, MetadataResponse } from '@sluice/rpc/contract/metadata';
import type { Transport } from '@sluice/rpc/transport';

/**
 * Any node's way to change the metadata: finds the leading coordinator and asks it.
 *
 * A question that got no answer may have been answered by a change. Asking again would be wrong for most commands (the
 * second attempt to create a queue is refused because of the first), so before a command is sent, its receiver has just
 * said that it lives and leads: one more round trip for what is rare. What is lost then is rarer, and said to be unknown.
 */
export class MetadataClient {
  readonly #options: MetadataClientOptions;
  /** Who led when it was asked last. */
  #leader = 0;
  #turn = 0;

  static readonly DEADLINE_MS = 10_000;
  static readonly BACKOFF_MS = 100;

  constructor(options: MetadataClientOptions) {
    this.#options = options;
  }

  /**
   * Replicates a change. `reached`: every live node acts on it. Undefined: no coordinator could be found in time, or nobody
   * knows whether it was done.
   */
  async execute(command: MetaCommand): Promise<{ reply: MetaReply; reached: boolean } | undefined> {
    const response = await this.#ask({ type: 'execute', command }, IDEMPOTENT.has(command.kind));
    return response?.type === 'executed' ? { reply: response.reply, reached: response.reached } : undefined;
  }

  /** True when every live node acts on the epoch. */
  async reach(epoch: number): Promise<boolean> {
    const response = await this.#ask({ type: 'reach', epoch }, true);
    return response?.type === 'reached' && response.reached;
  }

  /** Somebody subscribed to a queue that does not exist. True when it was made for that; undefined: nobody answered. */
  async wanted(name: string, topicFilter: string): Promise<boolean | undefined> {
    const response = await this.#ask({ type: 'wanted', name, topicFilter }, true);
    return response?.type === 'wanted' ? response.created : undefined;
  }

  /** Node ids of the members of the metadata group; undefined when no coordinator can say. */
  async members(): Promise<readonly number[] | undefined> {
    const response = await this.#ask({ type: 'members' }, true);
    return response?.type === 'members' ? response.members : undefined;
  }

  async #ask(request: MetadataRequest, isRepeatable: boolean): Promise<MetadataResponse | undefined> {
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + (this.#options.deadlineMs ?? MetadataClient.DEADLINE_MS);
    do {
      const leader = await this.#find(deadlineMs);
      if (leader === 0) return undefined;
      const response = await this.#call(leader, request);
      if (response === undefined || response.type === 'unknown') {
        if (!isRepeatable) return undefined;
      } else if (response.type !== 'not-leader') return response;
      await this.#pause();
    } while (clock.monotonicMs() < deadlineMs);
    return undefined;
  }

  /** A coordinator that leads, as it said itself a moment ago; 0 when there is none in time. */
  async #find(deadlineMs: number): Promise<number> {
    const { clock } = this.#options;
    let hint = this.#options.leading?.() ?? 0;
    if (hint === 0) hint = this.#leader;
    for (let asked = 0; ; asked++) {
      const candidates = this.#candidates();
      const nodeId = hint !== 0 ? hint : (candidates[this.#turn++ % Math.max(1, candidates.length)] ?? 0);
      hint = 0;
      if (nodeId !== 0) {
        const response = await this.#call(nodeId, { type: 'reach', epoch: 0 });
        if (response?.type === 'reached') return nodeId;
        if (response?.type === 'not-leader' && response.leader !== nodeId) hint = response.leader;
      }
      if (clock.monotonicMs() >= deadlineMs) return 0;
      // Those who point at each other are not asked without a pause.
      if (hint === 0 ? asked % Math.max(1, candidates.length) === candidates.length - 1 : asked > 3)
        await this.#pause();
      if (candidates.length === 0) await this.#pause();
    }
  }

  #candidates(): readonly number[] {
    const known = this.#options.topology.coordinators().map(({ nodeId }) => nodeId);
    return [...new Set([...known, ...this.#options.coordinators])];
  }

  async #call(nodeId: number, request: MetadataRequest): Promise<MetadataResponse | undefined> {
    try {
      const response = await this.#options.transport.call<MetadataRequest, MetadataResponse>(
        nodeId,
        'metadata',
        request,
      );
      this.#leader = response.type === 'not-leader' ? response.leader : nodeId;
      return response;
    } catch {
      // Nobody there, or too late: the caller decides what that means for its request.
      if (this.#leader === nodeId) this.#leader = 0;
      return undefined;
    }
  }

  #pause(): Promise<void> {
    const wait = this.#options.pause;
    if (wait !== undefined) return wait(MetadataClient.BACKOFF_MS);
    return new Promise((resolve) => setTimeout(resolve, MetadataClient.BACKOFF_MS));
  }
}

export interface MetadataClientOptions {
  transport: Transport;
  topology: Topology;
  /** Node ids to begin with; those of the topology are tried first. */
  coordinators: readonly number[];
  clock: Clock;
  /** Who is known to lead: the coordinator that serves this node's watcher; 0 for none. */
  leading?: () => number;
  deadlineMs?: number;
  /** For tests. */
  pause?: (ms: number) => Promise<void>;
}

/** Done twice is done once. */
const IDEMPOTENT: ReadonlySet<MetaCommand['kind']> = new Set<MetaCommand['kind']>([
  'register-node',
  'set-node-state',
  'set-config',
  'set-replication-factor',
  'partition-formed',
]);
