import type { ConnectionState } from './connection-state.ts';
import type { OutboundMessage } from './outbound-message.ts';

/**
 * Whoever keeps the packet identifiers of a session beyond its connection, and beyond this server. Exactly once is a
 * promise about identifiers: the client tells one message from another by nothing else. So what an identifier means is
 * kept before the client can act on it: before the first PUBLISH under it, before the PUBREL, before the PUBCOMP. Each
 * call is answered, by the method that is named, once that is so; after a failure there is no answer, and the connection ends.
 *
 * QoS 1 has no such promise, and its identifiers are only told when the connection ends.
 */
export interface KeptExchanges {
  /** A QoS 2 message is about to be sent for the first time. Answered by `SessionState.bound`. */
  bind(outbound: OutboundMessage): void;
  /** PUBREC: the client has it. Answered by `SessionState.receiptKept`. */
  receive(outbound: OutboundMessage): void;
  /** The exchange is over, the identifier free. Not answered. */
  finish(outbound: OutboundMessage, accepted: boolean): void;
  /** PUBREL: the client frees an identifier of its own. Answered by `ConnectionState.released`; false: it is not kept. */
  release(packetId: number, connection: ConnectionState): boolean;
}
