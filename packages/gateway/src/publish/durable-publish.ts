import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import type { RecordExchange } from '@sluice/queue/record/record';

/**
 * What the connections need of the durable side of a publish. Implemented by `publish-router`.
 *
 * No promise and no closure a message: a `PendingPublish` is one plain object, completed once by `complete`.
 */
export interface DurablePublish {
  /**
   * Starts to store the message in every queue whose filter matches. Returns false when none does: the caller answers
   * on its own. Otherwise `pending.complete(reasonCode)` follows, when every queue has committed it (SUCCESS) or as soon as
   * one has refused (QUOTA_EXCEEDED, UNSPECIFIED_ERROR…); within this call where it is too large for one by itself.
   * With `isRetained` it is also kept for later subscribers of its topic, or, if it is empty, what was kept is removed; then
   * the answer is always true.
   * With an exchange, what took it under the same number before does not take it again.
   * `nowMs` is when it was received: its publication, and what its expiry counts from. The payload is copied before the call
   * returns.
   */
  publish(
    packet: PublishPacket,
    publisher: Publisher,
    pending: PendingPublish,
    isRetained: boolean,
    nowMs: number,
    exchange?: RecordExchange,
  ): boolean;
  /** True while the publish buffer is over its bound: stop reading from sockets until `onRelief` is called. */
  readonly congested: boolean;
  onRelief(listener: () => void): void;
}

export interface PendingPublish {
  complete(reasonCode: number): void;
}

/** Facts about the publishing connection that key expressions may read. */
export interface Publisher {
  readonly clientId: string;
  readonly username: string | undefined;
  /** `127.0.0.1` */
  readonly peerHost: string;
  /** `127.0.0.1:50123` */
  readonly peerName: string;
  readonly protocolVersion: 4 | 5;
}
