import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { LiveMesh } from '../live/live-mesh.ts';
import type { LiveRouter } from '../live/live-router.ts';
import type { RetainedStore } from '../live/retained-store.ts';
import type { DurablePublish, PendingPublish, Publisher } from './durable-publish.ts';

/**
 * Where every accepted message goes: retained, live here and on other gateways, durable. Live subscribers get it at once
 * and in order of arrival, whatever becomes of it in the queues; the acknowledgement belongs to the queues alone. A retained message that does
 * not fit is refused before anybody has seen it, so that the publisher's retry is not a duplicate.
 *
 * @hotpath
 */
export class PublishIngress {
  readonly #live: LiveRouter;
  readonly #mesh: LiveMesh;
  readonly #retained: RetainedStore;
  readonly #durable: DurablePublish;

  constructor(live: LiveRouter, mesh: LiveMesh, retained: RetainedStore, durable: DurablePublish) {
    this.#live = live;
    this.#mesh = mesh;
    this.#retained = retained;
    this.#durable = durable;
  }

  /** `ack` is completed once, now or later; undefined when nobody waits. */
  publish(packet: PublishPacket, publisher: Publisher, ack: PendingPublish | undefined, nowMs: number): void {
    const message = new PublishedMessage(packet, publisher.clientId, nowMs);
    if (packet.retain && this.#retained.put(message, nowMs) === 'refused' && ack !== undefined) {
      ack.complete(ReasonCode.QUOTA_EXCEEDED);
      return;
    }
    let copies = this.#live.route(message);
    if (this.#mesh.active) copies += this.#mesh.forward(message, nowMs);
    const durable = this.#durable.publish(packet, publisher, ack ?? NOBODY_WAITS);
    if (durable || ack === undefined) return;
    ack.complete(copies > 0 ? ReasonCode.SUCCESS : ReasonCode.NO_MATCHING_SUBSCRIBERS);
  }
}

const NOBODY_WAITS: PendingPublish = { complete: () => {} };
