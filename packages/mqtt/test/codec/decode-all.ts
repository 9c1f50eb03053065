import { Decoder, type DecoderOptions } from '../../src/codec/decoder.ts';
import { encode } from '../../src/codec/encoder.ts';
import type { Packet, ProtocolVersion } from '../../src/codec/packet.ts';
import { PacketType } from '../../src/codec/packet.ts';

/** A decoder that has taken a CONNECT of this version, or stands on a client's side. */
export function connectedDecoder(
  version: ProtocolVersion,
  role: 'server' | 'client' = 'server',
  options: Partial<DecoderOptions> = {},
): Decoder {
  const decoder = new Decoder({ maximumPacketSizeBytes: 1 << 20, role, ...options });
  if (role === 'client') decoder.protocolVersion = version;
  else {
    const type = PacketType.CONNECT;
    decoder.push(encode({ type, protocolVersion: version, clientId: 'c', cleanStart: true, keepAliveS: 0 }, version));
    if (decoder.next() === undefined) throw new Error('the CONNECT was not complete');
  }
  return decoder;
}

/** Every packet that these chunks complete. */
export function decodeAll(decoder: Decoder, chunks: Iterable<Uint8Array>): Packet[] {
  const packets: Packet[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) packets.push(packet);
  }
  return packets;
}

/** Absent and undefined mean the same, and so do a Buffer and a Uint8Array: the form in which packets are compared. */
export function plain(packet: unknown): unknown {
  if (packet instanceof Uint8Array) return Buffer.from(packet).toString('hex');
  if (Array.isArray(packet)) return packet.map(plain);
  if (typeof packet !== 'object' || packet === null) return packet;
  const entries = Object.entries(packet).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, plain(value)]));
}
