import { AssertionFailed } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { DueWillView } from '@sluice/rpc/contract/sessions';
import type { WillListener } from '@sluice/store-client/session/session-client';
import { type Authenticator, isSuperuserStill } from '../auth/authenticator.ts';
import type { Authorizer } from '../auth/authorizer.ts';
import type { GatewayMetrics } from '../gateway-metrics.ts';
import type { PendingPublish } from '../publish/durable-publish.ts';
import type { PublishIngress } from '../publish/publish-ingress.ts';
import { decodeWillMessage, type WillMessage } from './will-message.ts';

/**
 * Publishes the wills that partitions ask this gateway for, whoever's clients left them: by the rules as they are now,
 * live here and on other gateways, into queues and streams, and retained where they say so.
 *
 * A partition asks for one group after the other, each with a higher number, and asks again when it hears nothing or is
 * led by somebody else. So the last group of each is all there is to remember: it is under way, or done. What is stored of
 * a group is stored once even when this gateway dies and another is asked (`store-client/publish/group-producer`).
 */
export class WillPublisher implements WillListener {
  readonly #parts: WillPublisherParts;
  readonly #last = new Map<number, WillGroup>();
  #isClosed = false;

  constructor(parts: WillPublisherParts) {
    this.#parts = parts;
  }

  publishWills(partition: number, group: number, wills: readonly DueWillView[], done: () => void): void {
    if (this.#isClosed) return;
    const last = this.#last.get(partition);
    if (last !== undefined && group <= last.number) {
      // An older one is asked for by a leader that is none any more.
      if (group === last.number && last.isDone) done();
      return;
    }
    const next = new WillGroup(group, wills.length, done);
    this.#last.set(partition, next);
    const { groups } = this.#parts;
    groups.begin(partition, group);
    for (const { clientId, message } of wills) this.#publish(clientId, message, next);
    groups.end();
    next.begun();
  }

  /** Whoever is asked instead of this gateway publishes what comes from now on. */
  close(): void {
    this.#isClosed = true;
  }

  #publish(clientId: string, bytes: Uint8Array, group: WillGroup): void {
    const { clock, ingress, logger } = this.#parts;
    const pending = new PendingWill(this, group, clientId);
    try {
      const will = decodeWillMessage(clientId, bytes);
      if (this.#mayPublish(will)) ingress.publish(will.packet, will.publisher, pending, clock.nowMs());
      else pending.complete(ReasonCode.SUCCESS);
    } catch (error) {
      if (error instanceof AssertionFailed) throw error;
      logger.error({ err: error, client: clientId }, 'a will cannot be published');
      pending.complete(ReasonCode.SUCCESS);
    }
  }

  #mayPublish({ packet, subject }: WillMessage): boolean {
    const { authenticator, authorizer, logger, metrics } = this.#parts;
    const { topic, qos, retain } = packet;
    const isSuperuser = isSuperuserStill(authenticator, subject);
    if (authorizer.admit({ ...subject, isSuperuser }).mayPublish(topic, qos, retain)) return true;
    metrics.denied('will').add();
    logger.info({ client: subject.clientId, user: subject.user, action: 'will', topic }, 'not authorized');
    return false;
  }

  refused(clientId: string, reasonCode: number): void {
    this.#parts.logger.warn(
      { client: clientId, reasonCode },
      'a queue refused a will, or nobody knows whether it took it',
    );
  }
}

/** What is published between the two is of that group: what is stored of it is stored once, whoever brings it. */
export interface WillGroups {
  begin(partition: number, group: number): void;
  end(): void;
}

interface WillPublisherParts {
  groups: WillGroups;
  ingress: PublishIngress;
  authenticator: Authenticator;
  authorizer: Authorizer;
  clock: Clock;
  logger: Logger;
  metrics: GatewayMetrics;
}

class WillGroup {
  readonly number: number;
  readonly #done: () => void;
  /** And one for the group itself, until all of it is given out. */
  #left: number;

  constructor(number: number, wills: number, done: () => void) {
    this.number = number;
    this.#left = wills + 1;
    this.#done = done;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  begun(): void {
    this.oneDone();
  }

  oneDone(): void {
    if (--this.#left === 0) this.#done();
  }
}

class PendingWill implements PendingPublish {
  readonly #publisher: WillPublisher;
  readonly #group: WillGroup;
  readonly #clientId: string;
  #isDone = false;

  constructor(publisher: WillPublisher, group: WillGroup, clientId: string) {
    this.#publisher = publisher;
    this.#group = group;
    this.#clientId = clientId;
  }

  complete(reasonCode: number): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (reasonCode >= 0x80) this.#publisher.refused(this.#clientId, reasonCode);
    this.#group.oneDone();
  }
}
