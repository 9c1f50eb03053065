import type { RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { CallService, Channel, ChannelService, Transport } from '@sluice/rpc/transport';
import type { EpochCheck } from '../check/epoch-check.ts';
import type { RetainedLoad } from '../retained/retained-load.ts';
import type { SimHost } from '../sim-network.ts';
import type { WillTrail } from './will-trail.ts';

/** A gateway's way to the stores, on which the checker reads what they say of sessions. */
export function watchedTransport(host: SimHost, watch: SessionWatch): Transport {
  return {
    call<Request, Response>(nodeId: number, service: CallService, request: Request): Promise<Response> {
      const answer = host.call<Request, Response>(nodeId, service, request);
      if (service !== 'retained' || watch.readers === undefined) return answer;
      return answer.then((response) => {
        try {
          watch.readers?.answered(request as RetainedRequest, response as RetainedResponse);
        } catch (cause) {
          host.network.world.fail(cause);
        }
        return response;
      });
    },
    open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In> {
      const channel = host.open<Out, In>(nodeId, service);
      if (service !== 'sessions') return channel;
      const sessions = channel as unknown as Channel<SessionsRequest, SessionsResponse>;
      return new WatchedSessions(sessions, host, watch) as unknown as Channel<Out, In>;
    },
  };
}

export interface SessionWatch {
  readonly epochs: EpochCheck;
  readonly streams: NewestStreams;
  readonly wills: WillTrail;
  /** Undefined: nobody reads what is retained but probes. */
  readonly readers: Pick<RetainedLoad, 'answered'> | undefined;
}

/** By partition and filter: the newest stream that any store told any gateway of. A former one of the filter is over. */
export class NewestStreams {
  readonly #newest = new Map<string, number>();

  told({ partition, added }: Extract<SessionsResponse, { type: 'streams' }>): void {
    for (const { streamId, filter } of added) {
      const key = `${partition} ${filter}`;
      this.#newest.set(key, Math.max(streamId, this.#newest.get(key) ?? 0));
    }
  }

  isNewest({ partition, filter, streamId }: { partition: number; filter: string; streamId: number }): boolean {
    return this.#newest.get(`${partition} ${filter}`) === streamId;
  }
}

class WatchedSessions implements Channel<SessionsRequest, SessionsResponse> {
  readonly #channel: Channel<SessionsRequest, SessionsResponse>;
  readonly #host: SimHost;
  readonly #watch: SessionWatch;
  /** Who was asked for, and who was to go. */
  readonly #opened = new Map<number, Asked<'open'>>();
  readonly #closed = new Map<number, Asked<'close'>>();

  constructor(channel: Channel<SessionsRequest, SessionsResponse>, host: SimHost, watch: SessionWatch) {
    this.#channel = channel;
    this.#host = host;
    this.#watch = watch;
  }

  get unsentBytes(): number {
    return this.#channel.unsentBytes;
  }

  send(message: SessionsRequest): void {
    if (message.type === 'open') this.#opened.set(message.requestId, message);
    else if (message.type === 'close') this.#closed.set(message.requestId, message);
    else if (message.type === 'wills-published') this.#watch.wills.confirms(message.partition, message.group);
    this.#channel.send(message);
  }

  onMessage(listener: (message: SessionsResponse) => void): void {
    this.#channel.onMessage((message) => {
      this.#look(message);
      listener(message);
    });
  }

  onClose(listener: () => void): void {
    this.#channel.onClose(listener);
  }

  close(): void {
    this.#channel.close();
  }

  #look(message: SessionsResponse): void {
    const { network, life } = this.#host;
    const { sender, sentAtMs } = network.arriving;
    const store = sender?.name ?? '';
    try {
      const { epochs, streams, wills } = this.#watch;
      if (message.type === 'streams') streams.told(message);
      else if (message.type === 'publish-wills') wills.asked(message);
      else if (message.type === 'deliver') {
        epochs.brought(store, message.clientId, message.epoch, sentAtMs);
        for (const delivery of message.deliveries) wills.kept(message.partition, delivery);
      }
      if (message.type !== 'answer' || message.status !== 'done') return;
      const left = this.#closed.get(message.requestId);
      if (left !== undefined) wills.closed(left.clientId, left.epoch, left.takesWillBack, sentAtMs);
      const opened = this.#opened.get(message.requestId);
      if (opened === undefined || message.epoch === 0) return;
      epochs.given(store, opened.clientId, message.epoch, sentAtMs, life.name);
      if (opened.will !== undefined) wills.hasEpoch(opened.clientId, opened.will.message, message.epoch);
    } catch (cause) {
      network.world.fail(cause);
    }
  }
}

type Asked<T extends SessionsRequest['type']> = Extract<SessionsRequest, { type: T }>;
