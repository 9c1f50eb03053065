import { createConnection, type Socket } from 'node:net';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType, type ProtocolVersion } from '@sluice/mqtt/codec/packet';
import type { Link, OnEnd } from '../load/driver.ts';

/** What a publisher or a consumer does with the packets of a chunk: one call each, and one when the chunk is done. */
export interface PacketReader {
  packet(packet: Packet): void;
  chunkDone(): void;
  drained(): void;
}

export interface ConnectOptions {
  cleanStart: boolean;
  /** MQTT 5 only; what this client takes unacknowledged. */
  receiveMaximum: number;
  /** MQTT 5 only; how long the session outlives the connection. In 3.1.1 a session that is not clean stays. */
  sessionExpiryS: number;
}

/** When nothing is said. */
const RECEIVE_MAXIMUM = 65_535;
const PACKET_BYTES_MAX = 256 * 1024 * 1024;
/** Unsent bytes above which the publisher waits. */
const SOCKET_BYTES_MAX = 1024 * 1024;
const ANSWER_MS_MAX = 30_000;
const CLOSE_MS_MAX = 1_000;

/**
 * MQTT on a raw socket by the broker's own codec: the packets of a chunk are handled in one go and answered by one
 * write, so that the generator costs less than what it measures.
 */
export class MqttConnection {
  readonly version: ProtocolVersion;
  /** What the broker takes without having answered it, MQTT 5 section 3.2.2.3.3. */
  receiveMaximum: number = RECEIVE_MAXIMUM;
  readonly #socket: Socket;
  readonly #decoder: Decoder;
  readonly #onEnd: OnEnd;
  #reader: PacketReader | undefined;
  #awaited: { type: number; resolve(packet: Packet): void } | undefined;

  private constructor(socket: Socket, version: ProtocolVersion, onEnd: OnEnd) {
    this.#socket = socket;
    this.version = version;
    this.#decoder = new Decoder({ maximumPacketSizeBytes: PACKET_BYTES_MAX, role: 'client' });
    this.#decoder.protocolVersion = version;
    this.#onEnd = onEnd;
  }

  /** Resolves with the CONNACK taken; rejects when it refuses. */
  static async open(link: Link, options: ConnectOptions, onEnd: OnEnd): Promise<MqttConnection> {
    const version: ProtocolVersion = link.options.version === 4 ? 4 : 5;
    const socket = createConnection({ host: link.address.host, port: link.address.port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const connection = new MqttConnection(socket, version, onEnd);
    socket.on('data', (chunk) => connection.#receive(chunk));
    socket.on('drain', () => connection.#reader?.drained());
    socket.on('error', (error) => onEnd(error));
    socket.on('close', () => onEnd(new Error(`${link.clientId}: the broker closed the connection`)));
    const connack = connection.answer(PacketType.CONNACK);
    connection.write(encode(connectPacket(link, version, options), version));
    const answer = await connack;
    if (answer.type !== PacketType.CONNACK || answer.reasonCode !== 0) {
      throw new Error(`${link.clientId}: CONNECT was refused (${JSON.stringify(answer)})`);
    }
    connection.receiveMaximum = answer.properties?.receiveMaximum ?? RECEIVE_MAXIMUM;
    return connection;
  }

  get isWritable(): boolean {
    return this.#socket.writableLength < SOCKET_BYTES_MAX;
  }

  read(reader: PacketReader): void {
    this.#reader = reader;
  }

  /** One write call for all of them. */
  writeAll(chunks: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (chunks.length === 1) {
      socket.write(chunks[0] as Uint8Array);
      return;
    }
    socket.cork();
    for (let i = 0; i < chunks.length; i++) socket.write(chunks[i] as Uint8Array);
    socket.uncork();
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next packet of a type that is no message. One at a time. */
  async answer(type: number): Promise<Packet> {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer of type ${type} in ${ANSWER_MS_MAX} ms`)),
        ANSWER_MS_MAX,
      );
      this.#awaited = {
        type,
        resolve: (packet) => {
          clearTimeout(timer);
          resolve(packet);
        },
      };
    });
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.end(encode({ type: PacketType.DISCONNECT, reasonCode: 0 }, this.version));
    const timer = setTimeout(() => socket.destroy(), CLOSE_MS_MAX);
    await closed;
    clearTimeout(timer);
  }

  #receive(chunk: Uint8Array): void {
    const decoder = this.#decoder;
    decoder.push(chunk);
    try {
      for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) {
        const awaited = this.#awaited;
        if (awaited !== undefined && awaited.type === packet.type) {
          this.#awaited = undefined;
          awaited.resolve(packet);
        } else this.#reader?.packet(packet);
      }
    } catch (error) {
      this.#onEnd(error as Error);
      this.#socket.destroy();
      return;
    }
    this.#reader?.chunkDone();
  }
}

function connectPacket(link: Link, version: ProtocolVersion, options: ConnectOptions): Packet {
  const { username, password } = link.options;
  return {
    type: PacketType.CONNECT,
    protocolVersion: version,
    clientId: link.clientId,
    cleanStart: options.cleanStart,
    keepAliveS: 0,
    ...(typeof username === 'string' ? { username } : {}),
    ...(typeof password === 'string' ? { password: Buffer.from(password) } : {}),
    ...(version === 5
      ? {
          properties: {
            receiveMaximum: Math.min(65_535, Math.max(1, options.receiveMaximum)),
            sessionExpiryIntervalS: options.sessionExpiryS,
          },
        }
      : {}),
  };
}
