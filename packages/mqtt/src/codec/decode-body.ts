import { decodeAck, decodeAuth, decodeDisconnect, decodePing } from './decode-ack.ts';
import { decodeConnack, decodeConnect } from './decode-connect.ts';
import { decodePublish } from './decode-publish.ts';
import { decodeSuback, decodeSubscribe, decodeUnsuback, decodeUnsubscribe } from './decode-subscribe.ts';
import type { Packet } from './packet.ts';
import { PacketType } from './packet.ts';
import type { PacketBody } from './packet-body.ts';

/** One whole packet, its first byte already judged. Every `decode*` must have used up the body [no trailing bytes]. */
export function decodeBody(body: PacketBody, first: number): Packet {
  const packet = decodeByType(body, first);
  if (body.at !== body.end) body.malformed(`${body.end - body.at} bytes behind the end of packet type ${first >>> 4}`);
  return packet;
}

function decodeByType(body: PacketBody, first: number): Packet {
  const type = first >>> 4;
  switch (type) {
    case PacketType.PUBLISH:
      return decodePublish(body, first & 0x0f);
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return decodeAck(body, type);
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return decodePing(body, type);
    case PacketType.SUBSCRIBE:
      return decodeSubscribe(body);
    case PacketType.UNSUBSCRIBE:
      return decodeUnsubscribe(body);
    case PacketType.CONNECT:
      return decodeConnect(body);
    case PacketType.DISCONNECT:
      return decodeDisconnect(body);
    case PacketType.AUTH:
      return decodeAuth(body);
    case PacketType.CONNACK:
      return decodeConnack(body);
    case PacketType.SUBACK:
      return decodeSuback(body);
    case PacketType.UNSUBACK:
      return decodeUnsuback(body);
    default:
      return body.malformed(`packet type ${type} is reserved`);
  }
}
