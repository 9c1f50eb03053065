import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { Channel, ChannelService, Transport } from '@sluice/rpc/transport';
import type { EpochCheck } from '../check/epoch-check.ts';
import type { SimHost } from '../sim-network.ts';

/** A gateway's way to the stores, on which the checker reads what they say of sessions. */
export function watchedTransport(host: SimHost, check: EpochCheck): Transport {
  return {
    call: (nodeId, service, request) => host.call(nodeId, service, request),
    open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In> {
      const channel = host.open<Out, In>(nodeId, service);
      if (service !== 'sessions') return channel;
      const sessions = channel as unknown as Channel<SessionsRequest, SessionsResponse>;
      return new WatchedSessions(sessions, host, check) as unknown as Channel<Out, In>;
    },
  };
}

class WatchedSessions implements Channel<SessionsRequest, SessionsResponse> {
  readonly #channel: Channel<SessionsRequest, SessionsResponse>;
  readonly #host: SimHost;
  readonly #check: EpochCheck;
  /** Who was asked for. */
  readonly #opened = new Map<number, string>();

  constructor(channel: Channel<SessionsRequest, SessionsResponse>, host: SimHost, check: EpochCheck) {
    this.#channel = channel;
    this.#host = host;
    this.#check = check;
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
      if (message.type === 'deliver') this.#check.brought(store, message.clientId, message.epoch, sentAtMs);
      if (message.type !== 'answer') return;
      const clientId = this.#opened.get(message.requestId);
      if (clientId === undefined || message.status !== 'done' || message.epoch === 0) return;
      this.#check.given(store, clientId, message.epoch, sentAtMs, life.name);
    } catch (cause) {
      network.world.fail(cause);
    }
  }
}
