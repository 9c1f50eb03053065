import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import type { PacketWriter } from '@sluice/mqtt/codec/packet-writer';

/**
 * False: it is not written. It is larger than its receiver takes [MQTT-3.1.2-24], or has a string that MQTT cannot carry,
 * which costs the message, not the process.
 */
export function appendPacket(writer: PacketWriter, packet: Packet, logger: Logger, client: string): boolean {
  try {
    return writer.append(packet);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    logger.error({ err: error, client }, 'a packet could not be written');
    return false;
  }
}

/** Its receiver waits for it. Where no CONNACK fits its CONNECT was refused. */
export function isAwaited({ type }: Packet): boolean {
  return type !== PacketType.PUBLISH && type !== PacketType.CONNACK && type !== PacketType.DISCONNECT;
}
