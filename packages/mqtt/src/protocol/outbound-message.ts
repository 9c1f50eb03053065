import type { QoS } from '../codec/packet.ts';
import { type DeliverableMessage, NO_MESSAGE } from './deliverable-message.ts';

/** Whoever handed a message to the session and wants to know what became of it. Told exactly one of these. */
export interface DeliverySource {
  /** The subscription is gone: what still waits is forgotten, what was sent is finished without telling anybody. */
  readonly withdrawn: boolean;
  /** The client has taken it. */
  accepted(): void;
  /** The client has refused it. */
  rejected(): void;
  /** It is larger than the client takes, and was not sent [MQTT-3.1.2-25]. Without this it stays as it is. */
  tooLarge?(): void;
  /** The session ended, or the subscription, before the client said anything. */
  returned(): void;
}

export const OutboundPhase = {
  /** Waits for room: not on the wire of this connection. */
  WAITING: 0,
  AWAITING_PUBACK: 1,
  AWAITING_PUBREC: 2,
  AWAITING_PUBCOMP: 3,
  /** Told to its source: whoever still holds it forgets it. */
  SETTLED: 4,
  /** Its packet id is being kept; not sent yet. */
  BINDING: 5,
  /** The client has it, and that is being kept; PUBREL follows. */
  RECEIVING: 6,
  /** Sent on an earlier connection, elsewhere: its message is on the way from where it is stored. */
  ABSENT: 7,
} as const;
export type OutboundPhase = (typeof OutboundPhase)[keyof typeof OutboundPhase];

/**
 * One message for one receiver, from the moment the session takes it until it is settled.
 *
 *   WAITING -> AWAITING_PUBACK | AWAITING_PUBREC -> AWAITING_PUBCOMP -> SETTLED
 *   WAITING -> BINDING -> AWAITING_PUBREC -> RECEIVING -> AWAITING_PUBCOMP     QoS 2, where packet ids are kept
 *   WAITING -> BINDING -> AWAITING_PUBACK                                      its destined id is in use
 *   ABSENT  -> WAITING | RECEIVING
 *   any     -> WAITING    the session went on to a new connection: sent again with the same packet id and DUP
 *   any     -> SETTLED    unsubscribed or ended
 */
export class OutboundMessage {
  message: DeliverableMessage;
  readonly qos: QoS;
  readonly retain: boolean;
  /** 0 for none. */
  readonly subscriptionIdentifier: number;
  /** Undefined for a live message that nobody would send again. */
  source: DeliverySource | undefined;
  /** Counts against the bounds of live traffic; a queue's deliveries are bounded by its window. */
  readonly live: boolean;
  phase: OutboundPhase = OutboundPhase.WAITING;
  /** 0 until it was first sent; kept when it is sent again. */
  packetId = 0;
  /** Under which whoever has the session next sends it again, unless another one is kept; 0: no particular one. */
  destinedId = 0;
  /** An earlier gateway may have sent it, under that. */
  isUnsure = false;
  /** Its packet id is kept with the session. */
  isBound = false;

  constructor(
    message: DeliverableMessage,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifier: number,
    source: DeliverySource | undefined,
    live: boolean,
  ) {
    this.message = message;
    this.qos = qos;
    this.retain = retain;
    this.subscriptionIdentifier = subscriptionIdentifier;
    this.source = source;
    this.live = live;
  }

  /**
   * Everybody was told. A table that a map has outgrown still names it, and when that is old garbage, which is looked for
   * seldom, everything it leads to stays with it: so it leads nowhere.
   */
  forget(): void {
    this.message = NO_MESSAGE;
    this.source = undefined;
  }
}
