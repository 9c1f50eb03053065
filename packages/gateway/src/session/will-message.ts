import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import type { AccessSubject } from '../auth/authorizer.ts';
import type { Publisher } from '../publish/durable-publish.ts';

/**
 * A will as it lies in the store: the PUBLISH that it becomes, in MQTT 5's own bytes, and who left it, as far as rules,
 * keys and subscribers ask. Whichever gateway publishes it asks the rules of that moment, as for any publish.
 */
export interface WillMessage {
  readonly packet: PublishPacket;
  readonly publisher: Publisher;
  readonly subject: AccessSubject;
}

const VERSION = 1;
const IS_SUPERUSER = 1;
const HAS_USER = 2;
const HAS_USERNAME = 4;
const IS_MQTT_5 = 8;

/** u8 version, u8 flags, [user], [user name], peer's host, peer, then to the end: the packet. The store knows whose it is. */
export function encodeWillMessage({ packet, publisher, subject }: WillMessage): Uint8Array {
  const { user, isSuperuser } = subject;
  const { username, protocolVersion, peerHost, peerName } = publisher;
  const ofSubject = (isSuperuser ? IS_SUPERUSER : 0) | (user === undefined ? 0 : HAS_USER);
  const ofPublisher = (username === undefined ? 0 : HAS_USERNAME) | (protocolVersion === 5 ? IS_MQTT_5 : 0);
  const writer = new ByteWriter(128 + packet.payload.length).u8(VERSION).u8(ofSubject | ofPublisher);
  if (user !== undefined) writer.text(user);
  if (username !== undefined) writer.text(username);
  return writer
    .text(peerHost)
    .text(peerName)
    .raw(encode({ ...packet, packetId: packet.qos === 0 ? 0 : 1 }, 5))
    .finish();
}

/** @throws SluiceError `WILL_UNKNOWN` for one of a newer release, and for bytes that are none. */
export function decodeWillMessage(clientId: string, bytes: Uint8Array): WillMessage {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== VERSION) throw unknown(`a will of version ${version}`);
  const flags = reader.u8();
  const user = flags & HAS_USER ? reader.text() : undefined;
  const username = flags & HAS_USERNAME ? reader.text() : undefined;
  const peerHost = reader.text();
  const peerName = reader.text();
  const decoder = new Decoder({ maximumPacketSizeBytes: Number.MAX_SAFE_INTEGER, role: 'client' });
  decoder.protocolVersion = 5;
  decoder.push(reader.raw(reader.remaining));
  const packet = decoder.next();
  if (packet?.type !== PacketType.PUBLISH) throw unknown('a will that is no PUBLISH');
  packet.packetId = 0;
  return {
    packet,
    publisher: { clientId, username, peerHost, peerName, protocolVersion: flags & IS_MQTT_5 ? 5 : 4 },
    subject: { user, clientId, peerHost, isSuperuser: (flags & IS_SUPERUSER) !== 0 },
  };
}

function unknown(what: string): SluiceError {
  return new SluiceError('WILL_UNKNOWN', `${what} cannot be published here`, {
    hint: 'this gateway runs an older release than the one that took the will: upgrade it',
  });
}
