import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { Channel, ChannelService, Transport } from '@sluice/rpc/transport';
import type { EpochCheck } from '../check/epoch-check.ts';
import type { SimHost } from '../sim-network.ts';

/** A gateway's way to the stores, on which the checker reads what they say of sessions. */
export function watchedTransport(host: SimHost, watch: SessionWatch): Transport {
  return {
    call: (nodeId, service, request) => host.call(nodeId, service, request),
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
  /** Who was asked for. */
  readonly #opened = new Map<number, string>();

  constructor(channel: Channel<SessionsRequest, SessionsResponse>, host: SimHost, watch: SessionWatch) {
    this.#channel = channel;
    this.#host = host;
    this.#watch = watch;
  }

  get unsentBytes(): number {
    return this.#channel.unsentBytes;
  }

  send(message: SessionsRequest): void {
    if (message.type === 'open') this.#opened.set(message.requestId, message.clientId);
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
      const { epochs, streams } = this.#watch;
      if (message.type === 'streams') streams.told(message);
      if (message.type === 'deliver') epochs.brought(store, message.clientId, message.epoch, sentAtMs);
      if (message.type !== 'answer') return;
      const clientId = this.#opened.get(message.requestId);
      if (clientId === undefined || message.status !== 'done' || message.epoch === 0) return;
      epochs.given(store, clientId, message.epoch, sentAtMs, life.name);
    } catch (cause) {
      network.world.fail(cause);
    }
  }
}
