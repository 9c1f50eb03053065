import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import { PacketWriter } from '@sluice/mqtt/codec/packet-writer';
import type { ConsumingLink } from '../load/driver.ts';
import type { Inbox } from '../load/inbox.ts';
import type { MqttConnection, PacketReader } from './mqtt-connection.ts';

/**
 * Takes what comes, and acknowledges the messages of a chunk with one write.
 *
 * @hotpath
 */
export class MqttConsumer implements ConsumingLink, PacketReader {
  readonly #connection: MqttConnection;
  readonly #inbox: Inbox;
  readonly #acks: PacketWriter;

  constructor(connection: MqttConnection, inbox: Inbox) {
    this.#connection = connection;
    this.#inbox = inbox;
    this.#acks = new PacketWriter({ version: connection.version });
  }

  packet(packet: Packet): void {
    if (packet.type === PacketType.PUBLISH) this.#inbox.take(packet.payload, packet.packetId, packet.dup);
  }

  chunkDone(): void {
    this.#inbox.turnEnds();
  }

  drained(): void {}

  acknowledge(packetId: number): void {
    if (packetId !== 0) this.#acks.ack(PacketType.PUBACK, packetId);
  }

  flush(): void {
    if (this.#acks.sizeBytes > 0) this.#connection.writeAll(this.#acks.take());
  }

  close() {
    return this.#connection.close();
  }
}
