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
  /** Accepted by `send` and still on this node: who has a bound keeps it by this. Always 0 within a process. */
  readonly unsentBytes: number;
  /** The peer has not taken it yet: nobody knows whether there is a way. Absent where both ends are made at once. */
  readonly isPending?: boolean | undefined;
  /** One listener; messages that arrive before it is set wait. */
  onMessage(listener: (message: In) => void): void;
  /** Called once, also when the peer goes away or was never reached. */
  onClose(listener: () => void): void;
  close(): void;
}

export interface Transport {
  /** Returns at once. A service nobody serves, or a node nobody can reach, closes the channel in a moment. */
  open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In>;
  /** Asks a node. Rejects with a `SluiceError` (`PEER_UNAVAILABLE`, retriable) when nobody answers in time. */
  call<Request, Response>(nodeId: number, service: CallService, request: Request): Promise<Response>;
}

/** The serving side, one a node. `from` is the node that opened or asks; it proved that it belongs to this cluster. */
export interface ServiceRegistry {
  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>, from: number) => void): void;
  serveCall<Request, Response>(
    service: CallService,
    answer: (request: Request, from: number) => Promise<Response>,
  ): void;
}

/**
 * Three for Raft, because a large append must not hold a heartbeat back, nor a snapshot an append: `raft` carries
 * appends, `raft-control` everything small, `raft-snapshot` one snapshot a channel.
 */
export type ChannelService =
  | 'append'
  | 'consume'
  | 'topology'
  | 'raft'
  | 'raft-control'
  | 'raft-snapshot'
  | 'live'
  | 'sessions';
export type CallService = 'store-admin' | 'retained' | 'metadata' | 'cluster' | 'gateway-load' | 'backup';
