import { PacketType } from './packet.ts';
import type { Role } from './packet-body.ts';
import { ReasonCode } from './reason-code.ts';

/**
 * The first byte of a packet, MQTT 5 section 2.1. Everything it can say wrong is known from it alone, so it is refused
 * before a length is read, let alone a body buffered: reserved types, reserved flags, packets that only the other side
 * may send, QoS 3, DUP without QoS.
 */
export interface FixedHeaderVerdict {
  readonly reasonCode: number;
  readonly message: string;
}

const { CONNECT, CONNACK, PUBLISH, PUBREL, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP } = PacketType;
const SENT_BY_SERVER_ONLY: readonly number[] = [CONNACK, SUBACK, UNSUBACK, PINGRESP];
const SENT_BY_CLIENT_ONLY: readonly number[] = [CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ];
const FLAGS_0010: readonly number[] = [PUBREL, SUBSCRIBE, UNSUBSCRIBE];
const DUP = 8;

function judge(first: number, role: Role): FixedHeaderVerdict | undefined {
  const type = first >>> 4;
  const flags = first & 0x0f;
  if (type === 0) return { reasonCode: ReasonCode.MALFORMED_PACKET, message: 'packet type 0 is reserved' };
  if (type === PUBLISH) {
    const qos = (flags >>> 1) & 3;
    if (qos === 3) return { reasonCode: ReasonCode.PROTOCOL_ERROR, message: 'PUBLISH with QoS 3 [MQTT-3.3.1-4]' };
    if (qos === 0 && (flags & 8) !== 0) {
      return { reasonCode: ReasonCode.PROTOCOL_ERROR, message: 'PUBLISH with DUP at QoS 0 [MQTT-3.3.1-2]' };
    }
    return undefined;
  }
  if (flags !== (FLAGS_0010.includes(type) ? 2 : 0)) {
    return { reasonCode: ReasonCode.MALFORMED_PACKET, message: `reserved flags of packet type ${type} [MQTT-2.1.3-1]` };
  }
  const refused = role === 'server' ? SENT_BY_SERVER_ONLY : SENT_BY_CLIENT_ONLY;
  if (refused.includes(type)) {
    return { reasonCode: ReasonCode.PROTOCOL_ERROR, message: `packet type ${type} is not for a ${role} to receive` };
  }
  return undefined;
}

const tableFor = (role: Role): readonly (FixedHeaderVerdict | undefined)[] =>
  Array.from({ length: 256 }, (_, first) => judge(first, role));

/** MQTT 3.1 has DUP on whatever is answered, and its clients set it when they send such a packet again. */
function judgeMqtt31(first: number): FixedHeaderVerdict | undefined {
  return judge(FLAGS_0010.includes(first >>> 4) ? first & ~DUP : first, 'server');
}

/** By first byte: why it is refused, undefined when it may stand. */
export const FIXED_HEADER_VERDICTS = {
  server: tableFor('server'),
  serverMqtt31: Array.from({ length: 256 }, (_, first) => judgeMqtt31(first)),
  client: tableFor('client'),
} as const;
