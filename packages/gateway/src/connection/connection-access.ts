import type { PublishPacket, Will } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import { type AuthenticationOutcome, isSuperuserStill } from '../auth/authenticator.ts';
import { type AccessSubject, type ClientAccess, NO_ACCESS } from '../auth/authorizer.ts';
import type { DeniedAction } from '../gateway-metrics.ts';
import type { GatewayServices } from '../gateway-services.ts';
import type { PendingPublish } from '../publish/durable-publish.ts';
import type { Expiring } from './admission-ends.ts';
import type { Connection } from './connection.ts';

/**
 * What one connection may do, and what follows when it may not. Clients learn that it was refused and never by which
 * rule; operators find the first refusal of each connection in the log and all of them in the metrics.
 *
 * @hotpath
 */
export class ConnectionAccess implements Expiring {
  readonly #services: GatewayServices;
  readonly #connection: Connection;
  /** Undefined: nobody has asked yet what it may do. */
  #access: ClientAccess | undefined = NO_ACCESS;
  #told = false;
  #user: string | undefined = undefined;
  #isSuperuser = false;
  #method: string | undefined = undefined;
  /** Wall time; 0: it does not end by itself. */
  #endsAtMs = 0;

  constructor(services: GatewayServices, connection: Connection) {
    this.#services = services;
    this.#connection = connection;
  }

  /** It was let in, and as whom. False when it may not leave the will it came with: that refuses the CONNECT. */
  admit(outcome: AuthenticationOutcome, will: Will | undefined): boolean {
    if (outcome.username !== undefined) this.#connection.publisher.username = outcome.username;
    this.#user = outcome.user === undefined ? outcome.identity : (outcome.user ?? undefined);
    this.#method = outcome.method;
    this.#isSuperuser = outcome.isSuperuser === true;
    this.#access = undefined;
    if (outcome.expiresAtMs !== undefined) {
      this.#endsAtMs = outcome.expiresAtMs;
      this.#services.admissionEnds.add(this, outcome.expiresAtMs);
    }
    if (will === undefined || this.#permissions.mayPublish(will.topic, will.qos, will.retain)) return true;
    this.#deny('will', will.topic);
    return false;
  }

  /** Who the rules take it for. */
  get subject(): AccessSubject {
    const { clientId, peerHost } = this.#connection.publisher;
    return { user: this.#user, clientId, peerHost, isSuperuser: this.#isSuperuser };
  }

  get #permissions(): ClientAccess {
    this.#access ??= this.#services.authorizer.admit(this.subject);
    return this.#access;
  }

  admissionOver(): void {
    this.#endsAtMs = 0;
    this.#connection.state.fail(ReasonCode.NOT_AUTHORIZED, 'what it was let in by has expired');
  }

  /** The connection is gone. */
  closed(): void {
    if (this.#endsAtMs !== 0) this.#services.admissionEnds.delete(this, this.#endsAtMs);
    this.#endsAtMs = 0;
  }

  /** When it may not, the publish is answered here as far as it is answered at all. It counts against its rate either way. */
  mayPublish(packet: PublishPacket, ack: PendingPublish | undefined): boolean {
    this.#connection.channel.published?.();
    if (this.#permissions.mayPublish(packet.topic, packet.qos, packet.retain)) return true;
    this.#deny('publish', packet.topic);
    const { state } = this.#connection;
    if (ack !== undefined && state.version === 5) ack.complete(ReasonCode.NOT_AUTHORIZED);
    else if (this.#services.limits.denyAction === 'ignore') ack?.complete(ReasonCode.SUCCESS);
    // [MQTT-3.3.5-2]: a positive acknowledgement would be a success that was not.
    else state.fail(ReasonCode.NOT_AUTHORIZED, 'it may not publish to this topic');
    return false;
  }

  /** Once more when it is due: permissions may have changed since it was left. */
  mayPublishWill(packet: PublishPacket): boolean {
    if (this.#permissions.mayPublish(packet.topic, packet.qos, packet.retain)) return true;
    this.#deny('will', packet.topic);
    return false;
  }

  maySubscribe(subscription: SessionSubscription): boolean {
    if (this.#mayHave(subscription)) return true;
    this.#deny(isOfQueue(subscription) ? 'consume' : 'subscribe', subscription.text);
    return false;
  }

  /** From a queue that keeps what matches this filter. */
  mayConsume(topicFilter: string): boolean {
    return this.#permissions.mayRead(topicFilter, QUEUE_QOS, 'consume');
  }

  /** Permissions are other ones now, or the session was made over another connection: what is not allowed any more ends. */
  lookAgain(): void {
    const { session, state } = this.#connection;
    if (session === undefined) return;
    const expelled = this.#expelled();
    if (expelled !== undefined) {
      state.fail(expelled, 'it may not be connected any more');
      return;
    }
    if (this.#isSuperuser && !isSuperuserStill(this.#services.authenticator, this.subject)) {
      this.#isSuperuser = false;
      this.#access = undefined;
    }
    for (const subscription of [...session.subscriptions.values()]) {
      if (this.#mayHave(subscription)) continue;
      session.unroute(subscription);
      session.release(subscription);
      void session.stored?.unsubscribe([subscription.text]);
      this.#deny('subscription', subscription.text);
    }
    session.lookAtQueues();
  }

  #expelled(): number | undefined {
    const { authenticator } = this.#services;
    if (authenticator.expels === undefined) return undefined;
    const { clientId, username, peerHost } = this.#connection.publisher;
    return authenticator.expels({ clientId, username, user: this.#user, peerHost, method: this.#method });
  }

  #mayHave({ request, qos }: SessionSubscription): boolean {
    switch (request.kind) {
      case 'plain':
      case 'shared':
        return this.#permissions.mayRead(request.filter, qos, 'subscribe');
      case 'queue-by-filter':
        return this.mayConsume(request.filter);
      case 'queue-by-name': {
        // A queue that does not exist yet says by its own filter, once it does, who may consume from it.
        const filter = request.filter ?? this.#services.queues.filterOf(request.name);
        return filter === undefined || this.mayConsume(filter);
      }
    }
  }

  #deny(action: DeniedAction, topic: string): void {
    this.#services.metrics.denied(action).add();
    const { clientId, username, peerName } = this.#connection.publisher;
    const fields = { client: clientId, user: username, peer: peerName, action, topic };
    if (this.#told) this.#services.logger.debug(fields, 'not authorized');
    else this.#services.logger.info(fields, 'not authorized; further refusals of this connection are logged at debug');
    this.#told = true;
  }
}

/** Rules about the QoS of a subscription do not tell queues apart: these deliver at theirs. */
const QUEUE_QOS = 1;

function isOfQueue({ request }: SessionSubscription): boolean {
  return request.kind === 'queue-by-filter' || request.kind === 'queue-by-name';
}
