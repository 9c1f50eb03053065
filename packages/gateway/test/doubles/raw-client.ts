import { connect, type Socket } from 'node:net';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type ConnectPacket, type Packet, PacketType, type ProtocolVersion } from '@sluice/mqtt/codec/packet';

/** A client that sends whatever it is told, also what no library would send, and shows what comes back. */
export class RawClient {
  readonly packets: Packet[] = [];
  closed = false;
  version: ProtocolVersion = 5;
  readonly socket: Socket;
  readonly #decoder = new Decoder({ maximumPacketSizeBytes: 64 * 1024 * 1024, role: 'client' });

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#decoder.protocolVersion = this.version;
      this.#decoder.push(chunk);
      for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
        this.packets.push(packet);
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static connect(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new RawClient(socket)));
      socket.once('error', reject);
    });
  }

  send(packet: Packet): void {
    this.socket.write(encode(packet, this.version));
  }
  write(...bytes: number[]): void {
    this.socket.write(Uint8Array.from(bytes));
  }

  /** CONNECT, and its CONNACK. */
  async hello(clientId: string, more: Partial<ConnectPacket> = {}): Promise<Packet> {
    this.version = more.protocolVersion ?? this.version;
    this.send({
      type: PacketType.CONNECT,
      protocolVersion: this.version,
      clientId,
      cleanStart: true,
      keepAliveS: 0,
      ...more,
    });
    return this.next();
  }

  /** The next packet that nobody has taken; fails when the connection closes first. */
  async next(withinMs = 5000): Promise<Packet> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const packet = this.packets.shift();
      if (packet !== undefined) return packet;
      if (this.closed) throw new Error('closed without another packet');
      if (Date.now() > deadline) throw new Error('no packet in time');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async untilClosed(withinMs = 5000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!this.closed) {
      if (Date.now() > deadline) throw new Error('not closed in time');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  destroy(): void {
    this.socket.destroy();
  }
}
