import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import type { KeptExchanges } from '@sluice/mqtt/protocol/kept-exchanges';
import type { OutboundMessage } from '@sluice/mqtt/protocol/outbound-message';
import type { ExchangeStep } from '@sluice/queue/session/commands';
import type { RefusedId, TakenId } from '@sluice/queue/session/exchanges';
import type { SessionKey } from '@sluice/store-client/session/attached-sessions';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { SessionAnswer } from '@sluice/store-client/session/session-questions';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import type { PendingPublish, Publisher } from '../publish/durable-publish.ts';
import type { PublishIngress } from '../publish/publish-ingress.ts';
import { StreamSource } from './stream-message.ts';

/**
 * The packet identifiers of a session that is kept, on their way into its partition. What happens to them is written
 * down as steps, in order; a turn's steps are one question, one question is under way at a time, and a step has its
 * effect when its question was answered. So whatever a client was shown is in the log, and what is not in the log the next
 * gateway may decide anew.
 *
 * A publish at QoS 2 is *taken* first: its packet id gets a number, and under this number every queue and stream takes it
 * once, whoever brings it. Only then is it given to anybody. Where its packet id has a number already, another gateway
 * may have brought it: it is brought again, to the stores alone.
 */
export class StoredExchanges implements KeptExchanges {
  readonly #session: GatewaySession;
  readonly #client: SessionClient;
  readonly #key: SessionKey;
  readonly #ingress: PublishIngress;
  readonly #taken = new Map<number, TakenExchange>();
  /** Numbers that may have to be brought again, ascending; and how many were taken before each. */
  readonly #unstored = new Map<number, number>();
  #takenCount = 0;
  #steps: PendingStep[] = [];
  #takes: KeptPublish[] = [];
  /** Freed by the client, and not in the log yet; by packet id, of which a client has 65,535. */
  readonly #releases = new Map<number, PendingStep>();
  #serial = 0;
  #isAsking = false;
  #isScheduled = false;
  #isOver = false;
  /** One that was brought is brought again over the next connection: nothing behind it may be there before. */
  #isHeld = false;

  /** Of one question. */
  static readonly STEPS_MAX = 1_024;
  /**
   * Publishes taken since the oldest that is not stored: partitions remember what they took of all these. Further ones
   * wait, within the bytes that a client may have unacknowledged.
   */
  static readonly SPAN_MAX = 4_096;
  /** A store that does not answer for so long: the client comes again. */
  static readonly PATIENCE_MS = 10_000;

  constructor(session: GatewaySession, client: SessionClient, key: SessionKey, ingress: PublishIngress) {
    this.#session = session;
    this.#client = client;
    this.#key = key;
    this.#ingress = ingress;
  }

  /** What the client publishes, as an earlier gateway left it. */
  resume(taken: readonly TakenId[], refused: readonly RefusedId[]): void {
    for (const { packetId, reasonCode } of refused) this.#session.received.refuse(packetId, reasonCode);
    for (const { packetId, number } of taken) {
      this.#taken.set(packetId, { number, isOpen: false });
      this.#unstored.set(number, this.#takenCount++);
    }
  }

  /** Stands for the acknowledgement from here on; without one there is nothing to keep. */
  begin(packet: PublishPacket, ack: PendingPublish | undefined, publisher: Publisher): KeptPublish | undefined {
    return ack === undefined ? undefined : new KeptPublish(this, packet, ack, publisher);
  }

  publish(publish: KeptPublish): void {
    if (this.#isHeld) {
      leaveOut(publish);
      return;
    }
    const taken = this.#taken.get(publish.packet.packetId);
    if (taken !== undefined) {
      this.#bring(publish, taken, true);
      return;
    }
    publish.keep();
    this.#takes.push(publish);
    this.#schedule();
  }

  completed(publish: KeptPublish, reasonCode: number): void {
    const { ack, publisher } = publish;
    const { packetId } = publish.packet;
    const taken = this.#taken.get(packetId);
    if (taken === undefined) {
      ack.complete(reasonCode);
      return;
    }
    taken.isOpen = false;
    const isRefused = reasonCode >= 0x80;
    const canBeTold = publisher.protocolVersion === 5;
    const isUnknown = reasonCode === ReasonCode.UNSPECIFIED_ERROR;
    this.#isHeld ||= isUnknown || (isRefused && !canBeTold);
    // Otherwise it may be brought again under its number; of a refusal, until that is kept.
    if (!isRefused) this.#unstored.delete(taken.number);
    if (this.#takes.length > 0) this.#schedule();
    if (!isRefused || !canBeTold) ack.complete(reasonCode);
    else if (isUnknown) {
      this.#session.connection.fail(reasonCode, 'nobody knows whether a publish at QoS 2 is stored');
    } else {
      this.#taken.delete(packetId);
      this.#add({ step: { type: 'refuse', packetId, reasonCode }, publish, number: taken.number });
    }
  }

  release(packetId: number, connection: ConnectionState): boolean {
    const underWay = this.#releases.get(packetId);
    if (underWay !== undefined) {
      // Its client is here again. Answered now, it would use the id for another message, which would have the number of this one.
      underWay.connection = connection;
      return true;
    }
    const taken = this.#taken.get(packetId);
    if (taken === undefined || taken.isOpen) return false;
    this.#taken.delete(packetId);
    this.#unstored.delete(taken.number);
    const release: PendingStep = { step: { type: 'release', packetId }, connection };
    this.#releases.set(packetId, release);
    this.#add(release);
    return true;
  }

  bind(outbound: OutboundMessage): void {
    this.#add({ step: bindStep(outbound), outbound });
  }

  receive(outbound: OutboundMessage): void {
    this.#add({ step: receiveStep(outbound), outbound });
  }

  finish(outbound: OutboundMessage, accepted: boolean): void {
    const { source } = outbound;
    if (outbound.qos === 2 && !accepted && source instanceof StreamSource && !source.isPassed) {
      // Refused, or not sent: passed by the same entry that frees its id.
      source.isPassed = true;
      this.#add({ step: receiveStep(outbound) });
    }
    this.#add({ step: { type: 'finish', packetId: outbound.packetId } });
  }

  /**
   * The connection is over. Whether what it left is in the log; undefined: it left nothing. Asked for together, the end of
   * the session's attachment could come to a new leader first.
   */
  close(isKept: boolean): Promise<boolean> | undefined {
    if (this.#isOver) return undefined;
    // Nothing was sent under these. Were one before them lost on its way, they would come again ahead of it.
    this.#steps = this.#steps.filter(({ step }) => step.type !== 'bind');
    if (isKept) this.#leaveIds();
    const left = this.#ask(true);
    this.#isOver = true;
    return left?.then(({ status }) => status === 'done');
  }

  /** Somebody else has the session. */
  lost(): void {
    this.#isOver = true;
  }

  /** QoS 1: sent, not acknowledged; whoever has the session next sends it again under the same id. */
  #leaveIds(): void {
    for (const outbound of this.#session.inflight.messages()) {
      const { source } = outbound;
      if (outbound.qos !== 1 || outbound.isBound || !(source instanceof StreamSource)) continue;
      this.#steps.push({ step: bindStep(outbound) });
    }
  }

  #bring(publish: KeptPublish, taken: TakenExchange, isAgain: boolean): void {
    const { packet, publisher } = publish;
    const { number } = taken;
    taken.isOpen = true;
    const [floor = number] = this.#unstored.keys();
    const exchange = { number, floor: Math.min(floor, number) };
    this.#ingress.publish(packet, publisher, publish, this.#session.nowMs(), exchange, isAgain);
  }

  #add(step: PendingStep): void {
    this.#steps.push(step);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isAsking || this.#isOver) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#isAsking && !this.#isOver) this.#ask(false);
    });
  }

  #ask(isLast: boolean): Promise<SessionAnswer> | undefined {
    const asked = isLast ? this.#steps.splice(0) : this.#steps.splice(0, StoredExchanges.STEPS_MAX);
    if (this.#span >= StoredExchanges.SPAN_MAX && !isLast && !this.#isHeld) this.#freeForgotten(asked);
    // With the end nothing more is taken. Its client brings it again; and were a question before this one never answered,
    // what is behind it would tell the stores that the numbers of those are over.
    const room = isLast ? 0 : Math.min(StoredExchanges.STEPS_MAX - asked.length, StoredExchanges.SPAN_MAX - this.#span);
    for (const publish of this.#takes.splice(0, Math.max(0, room))) {
      asked.push({ step: { type: 'take', packetId: publish.packet.packetId }, publish });
    }
    if (asked.length === 0) return undefined;
    this.#isAsking = true;
    const steps = asked.map(({ step }) => step);
    const answered = this.#client.exchange(this.#key, ++this.#serial, steps, StoredExchanges.PATIENCE_MS);
    void answered.then((answer) => {
      this.#isAsking = false;
      this.#answered(asked, answer);
    });
    return answered;
  }

  /** Taken since the oldest that is not stored. */
  get #span(): number {
    const [oldest = this.#takenCount] = this.#unstored.values();
    return this.#takenCount - oldest;
  }

  /**
   * What an earlier gateway left, and the client has not brought again by now, it never will: it must before it publishes
   * anything new [MQTT-4.4.0-1] [MQTT-4.6.0-1], and has published thousands. One that was begun anew and kept nothing knows of no
   * such packet id, and behind that nothing would be taken any more. So the id is freed; used again, it is for another message.
   */
  #freeForgotten(asked: PendingStep[]): void {
    for (const [packetId, { number, isOpen }] of this.#taken) {
      if (asked.length === StoredExchanges.STEPS_MAX) return;
      if (isOpen || !this.#unstored.delete(number)) continue;
      this.#taken.delete(packetId);
      asked.push({ step: { type: 'release', packetId } });
    }
  }

  #answered(asked: readonly PendingStep[], { status, numbers }: SessionAnswer): void {
    if (status !== 'done') {
      if (!this.#isOver) this.#session.cut();
      this.#isOver = true;
      return;
    }
    let next = 0;
    for (const pending of asked) {
      if (pending.step.type === 'take') this.#tookUp(pending.publish as KeptPublish, numbers[next++] ?? 0);
      else this.#kept(pending);
    }
    if (this.#steps.length > 0 || this.#takes.length > 0) this.#schedule();
  }

  #tookUp(publish: KeptPublish, number: number): void {
    // A later question was answered first: its client was told nothing, and comes again.
    if (number === 0) return;
    if (this.#isHeld) {
      leaveOut(publish);
      return;
    }
    const taken = { number, isOpen: true };
    this.#taken.set(publish.packet.packetId, taken);
    this.#unstored.set(number, this.#takenCount++);
    this.#bring(publish, taken, false);
  }

  #kept({ step, outbound, connection, publish, number = 0 }: PendingStep): void {
    if (step.type === 'bind' && outbound !== undefined) this.#session.bound(outbound, this.#session.nowMs());
    else if (step.type === 'receive' && outbound !== undefined) {
      if (outbound.source instanceof StreamSource) outbound.source.isPassed = true;
      this.#session.receiptKept(outbound);
    } else if (step.type === 'release') {
      this.#releases.delete(step.packetId);
      connection?.released(step.packetId);
    } else if (step.type === 'refuse') {
      this.#unstored.delete(number);
      publish?.ack.complete(step.reasonCode);
    }
  }
}

/** A QoS 2 publish of a session that is kept, until its PUBREC. */
class KeptPublish implements PendingPublish {
  readonly packet: PublishPacket;
  readonly ack: PendingPublish;
  readonly publisher: Publisher;
  readonly #owner: StoredExchanges;

  constructor(owner: StoredExchanges, packet: PublishPacket, ack: PendingPublish, publisher: Publisher) {
    this.#owner = owner;
    this.packet = packet;
    this.ack = ack;
    this.publisher = publisher;
  }

  /** Its bytes lie in a socket's buffer, which is read into again. */
  keep(): void {
    const { packet } = this;
    packet.payload = new Uint8Array(packet.payload);
    const { properties } = packet;
    if (properties?.correlationData !== undefined) {
      properties.correlationData = new Uint8Array(properties.correlationData);
    }
  }

  publish(): void {
    this.#owner.publish(this);
  }

  complete(reasonCode: number): void {
    this.#owner.completed(this, reasonCode);
  }
}

interface TakenExchange {
  readonly number: number;
  /** Its publish was brought by this gateway, and is not answered. */
  isOpen: boolean;
}

interface PendingStep {
  readonly step: ExchangeStep;
  readonly outbound?: OutboundMessage;
  /** The one that is to hear of it. */
  connection?: ConnectionState;
  readonly publish?: KeptPublish;
  /** Of what is refused. */
  readonly number?: number;
}

function bindStep({ packetId, qos, source }: OutboundMessage): ExchangeStep {
  const { streamId, offset } = source instanceof StreamSource ? source : NOWHERE;
  return { type: 'bind', packetId, qos: qos === 1 ? 1 : 2, streamId, offset };
}

function receiveStep({ packetId, source }: OutboundMessage): ExchangeStep {
  const { streamId, offset } = source instanceof StreamSource ? source : NOWHERE;
  return { type: 'receive', packetId, streamId, offset };
}

/** Its client brings it again. One of MQTT 3.1.1 is connected until the turn of its refusal, for which no place before may wait. */
function leaveOut({ ack, publisher }: KeptPublish): void {
  if (publisher.protocolVersion !== 5) ack.complete(ReasonCode.UNSPECIFIED_ERROR);
}

/** Of messages that the store does not have. */
const NOWHERE = { streamId: 0, offset: 0 };
