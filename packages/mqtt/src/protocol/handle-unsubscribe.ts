import { PacketType, type UnsubscribePacket } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import type { ConnectionState } from './connection-state.ts';
import { FILTERS_A_STEP, type LongRequest } from './long-request.ts';
import { reasonText } from './reason-text.ts';
import type { SessionState } from './session-state.ts';

/** UNSUBSCRIBE, MQTT 5 section 3.10: filters are compared as they were written [MQTT-3.10.4-1]. */
export function handleUnsubscribe(connection: ConnectionState, packet: UnsubscribePacket): void {
  if (packet.filters.length === 0) {
    connection.fail(ReasonCode.TOPIC_FILTER_INVALID, 'UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]');
    return;
  }
  connection.begin(new Unsubscribing(connection, packet));
}

class Unsubscribing implements LongRequest {
  readonly #connection: ConnectionState;
  readonly #session: SessionState;
  readonly #packet: UnsubscribePacket;
  readonly #reasonCodes: number[] = [];
  #problem: string | undefined = undefined;

  constructor(connection: ConnectionState, packet: UnsubscribePacket) {
    this.#connection = connection;
    this.#session = connection.session as SessionState;
    this.#packet = packet;
  }

  step(): boolean {
    const { filters } = this.#packet;
    const from = this.#reasonCodes.length;
    const end = Math.min(from + FILTERS_A_STEP, filters.length);
    for (let i = from; i < end; i++) this.#reasonCodes.push(this.#unsubscribe(filters[i] as string));
    if (end < filters.length) return false;
    this.#answer();
    return true;
  }

  abandoned(): void {}

  #answer(): void {
    const { version, effects } = this.#connection;
    effects.send({
      type: PacketType.UNSUBACK,
      packetId: this.#packet.packetId,
      reasonCodes: version === 5 ? this.#reasonCodes : [],
      properties: this.#connection.reasonProperties(this.#problem),
    });
  }

  #unsubscribe(text: string): number {
    const subscription = this.#session.subscriptions.get(text);
    if (subscription === undefined) {
      this.#problem ??= reasonText(ReasonCode.NO_SUBSCRIPTION_EXISTED);
      return ReasonCode.NO_SUBSCRIPTION_EXISTED;
    }
    this.#session.release(subscription);
    this.#connection.effects.unsubscribe(this.#session, subscription);
    return ReasonCode.SUCCESS;
  }
}
