import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import { PacketWriter } from '@sluice/mqtt/codec/packet-writer';
import { CHUNK_BYTES, type Hop, IMAGE_BYTES, type PreparedHop, SMALL_BYTES, TURN_MESSAGES } from './hop.ts';

const PACKET_BYTES_MAX = 1024 * 1024;
const ACKS = 256;

/** MQTT in and out, as a gateway's connection does it: a chunk of a socket, a turn's write. */
export function codecHops(): Hop[] {
  const acks = Buffer.concat(Array.from({ length: ACKS }, (_, i) => ackOf(i + 1)));
  return [
    {
      name: 'codec-decode-256',
      what: 'PUBLISH of 256 B decoded, 64 a chunk',
      limit: 'best-copy-256',
      prepare: () => decoding([Buffer.concat(Array(TURN_MESSAGES).fill(publishBytes(SMALL_BYTES)))], TURN_MESSAGES),
    },
    {
      name: 'codec-decode-256k',
      what: 'PUBLISH of 256 KB decoded, 64 KB chunks',
      limit: 'best-copy-256k',
      prepare: () => decoding(chunksOf(publishBytes(IMAGE_BYTES)), 1),
    },
    {
      name: 'codec-encode-256',
      what: 'PUBLISH of 256 B encoded, 64 a write',
      limit: 'best-copy-256',
      prepare: () => encoding(SMALL_BYTES, TURN_MESSAGES),
    },
    {
      name: 'codec-encode-256k',
      what: 'PUBLISH of 256 KB encoded, not copied',
      limit: 'best-copy-256k',
      prepare: () => encoding(IMAGE_BYTES, 1),
    },
    { name: 'codec-decode-puback', what: 'PUBACK decoded, 256 a chunk', prepare: () => decoding([acks], ACKS) },
    { name: 'codec-encode-puback', what: 'PUBACK encoded, 256 a write', prepare: answering },
  ];
}

function publishOf(sizeBytes: number): PublishPacket {
  const payload = Buffer.alloc(sizeBytes, 1);
  return { type: PacketType.PUBLISH, topic: 'bench/task', payload, qos: 1, retain: false, dup: false, packetId: 7 };
}

function publishBytes(sizeBytes: number): Uint8Array {
  return encode(publishOf(sizeBytes), 5);
}

function ackOf(packetId: number): Uint8Array {
  return encode({ type: PacketType.PUBACK, packetId, reasonCode: 0 }, 5);
}

function chunksOf(bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

/** On a client's side, where no CONNECT comes first; the rest is the same. */
function decoding(chunks: readonly Uint8Array[], messages: number): PreparedHop {
  const decoder = new Decoder({ maximumPacketSizeBytes: PACKET_BYTES_MAX, role: 'client' });
  decoder.protocolVersion = 5;
  return {
    messages,
    round() {
      for (const chunk of chunks) {
        decoder.push(chunk);
        while (decoder.next() !== undefined);
      }
    },
  };
}

function encoding(sizeBytes: number, messages: number): PreparedHop {
  const writer = new PacketWriter({ version: 5 });
  const packet = publishOf(sizeBytes);
  return {
    messages,
    round() {
      for (let i = 0; i < messages; i++) writer.publish(packet);
      writer.take();
    },
  };
}

function answering(): PreparedHop {
  const writer = new PacketWriter({ version: 5 });
  return {
    messages: ACKS,
    round() {
      for (let i = 1; i <= ACKS; i++) writer.ack(PacketType.PUBACK, i);
      writer.take();
    },
  };
}
