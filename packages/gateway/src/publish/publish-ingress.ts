import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { RecordExchange } from '@sluice/queue/record/record';
import type { LiveMesh } from '../live/live-mesh.ts';
import type { LiveRouter } from '../live/live-router.ts';
import type { RetainedInFlight } from '../retained/retained-in-flight.ts';
import type { DurablePublish, PendingPublish, Publisher } from './durable-publish.ts';

/**
 * Where every accepted message goes: live here and on other gateways, and durable: into queues, and kept for later
 * subscribers when it is retained. Live subscribers get it at once and in order of arrival, whatever becomes of it in the
 * stores; the acknowledgement belongs to the stores alone. A retained message that is too large to be kept is refused
 * before anybody has seen it, so that the publisher's retry is not a duplicate; at QoS 0, where nobody can be told, it is
 * live only.
 *
 * @hotpath
 */
export class PublishIngress {
  readonly #live: LiveRouter;
  readonly #mesh: LiveMesh;
  readonly #inFlight: RetainedInFlight;
  readonly #durable: DurablePublish;
  readonly #limits: { readonly retainedMessageBytesMax: number };

  constructor(parts: {
    live: LiveRouter;
    mesh: LiveMesh;
    inFlight: RetainedInFlight;
    durable: DurablePublish;
    limits: { readonly retainedMessageBytesMax: number };
  }) {
    this.#live = parts.live;
    this.#mesh = parts.mesh;
    this.#inFlight = parts.inFlight;
    this.#durable = parts.durable;
    this.#limits = parts.limits;
  }

  /**
   * `ack` is completed once, now or later; undefined when nobody waits. With an exchange, each queue and stream takes it
   * once, however often it is brought; live subscribers have nothing to know it again by, so one that another gateway may
   * have brought before (`isAgain`) is for the stores only.
   */
  publish(
    packet: PublishPacket,
    publisher: Publisher,
    ack: PendingPublish | undefined,
    nowMs: number,
    exchange?: RecordExchange,
    isAgain = false,
  ): void {
    const message = new PublishedMessage(packet, publisher.clientId, nowMs);
    const isRetained = packet.retain && message.heldBytes <= this.#limits.retainedMessageBytesMax;
    if (packet.retain && !isRetained && ack !== undefined) {
      ack.complete(ReasonCode.QUOTA_EXCEEDED);
      return;
    }
    let copies = isAgain ? 1 : this.#live.route(message);
    if (this.#mesh.active && !isAgain) copies += this.#mesh.forward(message, nowMs);
    let pending = ack ?? NOBODY_WAITS;
    if (isRetained) pending = this.#inFlight.begin(pending);
    const durable = this.#durable.publish(packet, publisher, pending, isRetained, nowMs, exchange);
    if (durable || ack === undefined) return;
    ack.complete(copies > 0 ? ReasonCode.SUCCESS : ReasonCode.NO_MATCHING_SUBSCRIBERS);
  }
}

const NOBODY_WAITS: PendingPublish = { complete: () => {} };
