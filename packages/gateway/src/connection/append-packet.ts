import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Packet } from '@sluice/mqtt/codec/packet';
import type { PacketWriter } from '@sluice/mqtt/codec/packet-writer';

/** A string that MQTT cannot carry costs its message, not the process. False: it is not written. */
export function appendPacket(writer: PacketWriter, packet: Packet, logger: Logger, client: string): boolean {
  try {
    return writer.append(packet);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    logger.error({ err: error, client }, 'a packet could not be written');
    return false;
  }
}
