/**
 * How roles reach each other. A channel is one long-lived, ordered, bidirectional stream of messages; a call is one
 * question with one answer, for what is rare. Messages are plain data (numbers, strings, arrays, byte arrays), so that
 * every transport can carry them and no two nodes ever share an object they both change.
 *
 * All-in-one is a composition, not a mode: the hosts below are the same on every transport.
 */
export interface Channel<Out, In> {
  /** Queued in order. After `close`, ignored. */
  send(message: Out): void;
  /** One listener; messages that arrive before it is set wait. */
  onMessage(listener: (message: In) => void): void;
  /** Called once, also when the peer goes away. */
  onClose(listener: () => void): void;
  close(): void;
}

export interface Transport {
  /** Opens a channel to a service of a node. A service nobody serves closes it at once. */
  open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In>;
  /** Asks a node. Rejects with a `SluiceError` (`PEER_UNAVAILABLE`, retriable) when nobody answers. */
  call<Request, Response>(nodeId: number, service: CallService, request: Request): Promise<Response>;
}

/** The serving side, one a node. */
export interface ServiceRegistry {
  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>) => void): void;
  serveCall<Request, Response>(service: CallService, answer: (request: Request) => Promise<Response>): void;
}

export type ChannelService = 'append' | 'consume' | 'topology';
export type CallService = 'store-admin' | 'queue-registry';
