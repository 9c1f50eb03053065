import type {
  DueWillView,
  SessionsRequest,
  SessionsResponse,
  SessionsStatus,
  StoredSubscriptionView,
} from '@sluice/rpc/contract/sessions';
import type { Channel } from '@sluice/rpc/transport';
import type { Partition } from '../partition/partition.ts';
import type { FeedSink } from '../session/partition-sessions.ts';
import type { StreamChange } from '../session/stream-changes.ts';
import { StreamImage } from '../session/stream-image.ts';
import type { BoundedGateway, DeliveryBound } from './delivery-bound.ts';

export type SessionChannel = Channel<SessionsResponse, SessionsRequest>;

/** A gateway's channel for its sessions: what is sent by it, and what it was told of. */
export class SessionGateway implements BoundedGateway {
  readonly from: number;
  readonly sinks = new Map<number, FeedSink>();
  /** By partition, the version of its streams that the gateway stores by. */
  readonly seen = new Map<number, number>();
  /** By partition, how far its streams were told of; none when all were. */
  readonly #images = new Map<number, StreamImage>();
  readonly channel: SessionChannel;
  isHeld = false;
  readonly #bound: DeliveryBound;
  readonly #freed: (partition: number, sink: FeedSink) => void;

  constructor(
    channel: SessionChannel,
    from: number,
    bound: DeliveryBound,
    freed: (partition: number, sink: FeedSink) => void,
  ) {
    this.channel = channel;
    this.from = from;
    this.#bound = bound;
    this.#freed = freed;
  }

  held(isHeld: boolean): void {
    if (isHeld) return;
    for (const [partition, sink] of this.sinks) this.#freed(partition, sink);
  }

  /** One a partition, so that it tells this channel from others of the same gateway. */
  sink(partition: number): FeedSink {
    let sink = this.sinks.get(partition);
    if (sink === undefined) {
      sink = {
        isHeld: () => this.isHeld,
        deliver: (clientId, epoch, deliveries) => {
          this.channel.send({ type: 'deliver', partition, clientId, epoch, deliveries });
          this.#bound.sent(this);
        },
        lost: (clientId, epoch) => this.lost(partition, clientId, epoch),
      };
      this.sinks.set(partition, sink);
    }
    return sink;
  }

  leading(partition: Partition): void {
    const { groupId, term, machine } = partition;
    this.seen.delete(groupId);
    this.channel.send({ type: 'leading', partition: groupId, term });
    const image = new StreamImage(machine.sessions, term);
    this.#images.set(groupId, image);
    this.#page(partition, image, 'first-page');
  }

  nextPage(partition: Partition): void {
    const image = this.#images.get(partition.groupId);
    if (image === undefined) return;
    if (partition.serves && partition.term === image.term) this.#page(partition, image, 'page');
    else this.#images.delete(partition.groupId);
  }

  #page({ groupId, machine }: Partition, image: StreamImage, part: 'first-page' | 'page'): void {
    const added = image.page();
    const isComplete = image.isOver;
    if (isComplete) this.#images.delete(groupId);
    const version = machine.sessions.streamsVersion;
    this.channel.send({ type: 'streams', partition: groupId, version, part, isComplete, added, removed: [] });
  }

  /** The gateway stores by the version when it has the last piece. */
  moved({ groupId, machine }: Partition, changes: readonly StreamChange[]): void {
    const version = machine.sessions.streamsVersion;
    for (const [i, { added, removed }] of changes.entries()) {
      const isComplete = i === changes.length - 1 && !this.#images.has(groupId);
      this.channel.send({ type: 'streams', partition: groupId, version, part: 'change', isComplete, added, removed });
    }
  }

  publishWills(partition: number, group: number, wills: readonly DueWillView[]): void {
    this.channel.send({ type: 'publish-wills', partition, group, wills });
  }

  lost(partition: number, clientId: string, epoch: number): void {
    this.channel.send({ type: 'lost', partition, clientId, epoch });
  }

  answer(requestId: number, status: SessionsStatus, leader: number, more: AnswerParts = {}): void {
    const { epoch = 0, present = false, views = [], taken = [], bound = [], numbers = [] } = more;
    const { refused = [], unsure = [] } = more;
    const kept = { epoch, present, subscriptions: views, taken, bound, numbers, refused, unsure };
    this.channel.send({ type: 'answer', requestId, status, leader, ...kept });
  }
}

interface AnswerParts {
  epoch?: number;
  present?: boolean;
  views?: readonly StoredSubscriptionView[];
  taken?: SessionsAnswer['taken'];
  bound?: SessionsAnswer['bound'];
  refused?: SessionsAnswer['refused'];
  unsure?: SessionsAnswer['unsure'];
  numbers?: readonly number[];
}

type SessionsAnswer = Extract<SessionsResponse, { type: 'answer' }>;
