import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type ConnectPacket, type Packet, PacketType, type ProtocolVersion } from '@sluice/mqtt/codec/packet';
import type { Address } from '../harness/server-process.ts';

export type Transport = 'tcp' | 'ws' | 'tls' | 'wss';

/** The longest that an honest answer takes, also on a machine that does other things. */
const ANSWER_MS_MAX = 10_000;

/**
 * A client that sends whatever it is told, also what no library would send, over TCP or WebSocket, with TLS below or
 * without, and shows what came back. WebSocket is spoken by hand: its frames are part of what is tested.
 */
export class RawClient {
  readonly socket: Socket;
  readonly transport: Transport;
  version: ProtocolVersion = 5;
  /** Packets that nobody has taken yet. */
  readonly packets: Packet[] = [];
  /** Of a WebSocket: the code of its close frame. */
  closeCode: number | undefined;
  /** What came before the first frame: the answer to the upgrade. */
  handshake = '';
  closed = false;
  /** Sees every byte of the MQTT stream that comes in. */
  tap: ((bytes: Uint8Array) => void) | undefined;
  readonly #decoder = new Decoder({ maximumPacketSizeBytes: 64 * 1024 * 1024, role: 'client' });
  readonly #waiting = new Set<() => void>();
  #frames: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket, transport: Transport) {
    this.socket = socket;
    this.transport = transport;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    // How it ended is told by 'close'.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.#look();
    });
  }

  static async open(address: Address, transport: Transport = 'tcp'): Promise<RawClient> {
    const client = await RawClient.#tcp(address, transport);
    if (client.isFramed) {
      client.upgrade();
      await client.until('101', () => client.handshake.includes('\r\n\r\n'));
      if (!client.handshake.startsWith('HTTP/1.1 101 ')) throw new Error(`not upgraded: ${client.handshake}`);
    }
    return client;
  }

  /** A WebSocket whose handshake is left to the caller. */
  static async beforeUpgrade(address: Address): Promise<RawClient> {
    return await RawClient.#tcp(address, 'ws');
  }

  static #tcp({ host, port }: Address, transport: Transport): Promise<RawClient> {
    const isSecure = transport === 'tls' || transport === 'wss';
    return new Promise((resolve, reject) => {
      const opened = (): void => resolve(new RawClient(socket, transport));
      // Who the server is, is not what is tested by whoever uses this.
      const trusting = { host, port, rejectUnauthorized: false };
      const socket = isSecure ? connectTls(trusting, opened) : connect(port, host, opened);
      socket.once('error', reject);
    });
  }

  get isFramed(): boolean {
    return this.transport === 'ws' || this.transport === 'wss';
  }

  upgrade(path = '/mqtt', headers: Record<string, string> = {}): void {
    const all: Record<string, string> = {
      host: 'localhost',
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': randomBytes(16).toString('base64'),
      'sec-websocket-protocol': 'mqtt',
      ...headers,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  }

  /** Bytes of the MQTT stream: as they are, or in one binary frame. */
  write(bytes: Uint8Array): void {
    this.socket.write(this.isFramed ? frame(bytes) : bytes);
  }

  send(packet: Packet): void {
    this.write(encode(packet, this.version));
  }

  /** CONNECT, and its CONNACK. */
  async hello(clientId: string, version: ProtocolVersion = 5, more: Partial<ConnectPacket> = {}): Promise<Packet> {
    this.greet(clientId, version, more);
    return await this.next();
  }

  /** As `hello`, without waiting for an answer. */
  greet(clientId: string, version: ProtocolVersion = 5, more: Partial<ConnectPacket> = {}): void {
    this.version = version;
    const type = PacketType.CONNECT;
    this.send({ type, protocolVersion: version, clientId, cleanStart: true, keepAliveS: 0, ...more });
  }

  /** The next packet that nobody has taken. */
  async next(withinMs = ANSWER_MS_MAX): Promise<Packet> {
    await this.until('a packet', () => this.packets.length > 0 || this.closed, withinMs);
    const packet = this.packets.shift();
    if (packet === undefined) throw new Error('closed without another packet');
    return packet;
  }

  async untilClosed(withinMs = ANSWER_MS_MAX): Promise<void> {
    await this.until('the end of the connection', () => this.closed, withinMs);
  }

  async until(what: string, condition: () => boolean, withinMs = ANSWER_MS_MAX): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`waited ${withinMs} ms for ${what}; have ${JSON.stringify(this.packets).slice(0, 400)}`));
      }, withinMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** Reads no more: the peer's window closes, and what it sends piles up there. */
  stopReading(): void {
    this.socket.pause();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.isFramed) this.#takeFrames(chunk);
    else this.#decode(chunk);
    this.#look();
  }

  #decode(bytes: Uint8Array): void {
    this.tap?.(bytes);
    this.#decoder.protocolVersion = this.version;
    this.#decoder.push(bytes);
    for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
      this.packets.push(packet);
    }
  }

  #takeFrames(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#frames, chunk]);
    if (!this.handshake.includes('\r\n\r\n')) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) {
        this.#frames = bytes;
        return;
      }
      this.handshake = bytes.subarray(0, end + 4).toString('latin1');
      bytes = bytes.subarray(end + 4);
    }
    for (;;) {
      const length = bytes.length < 2 ? undefined : lengthOf(bytes);
      if (length === undefined || bytes.length < length.header + length.payload) break;
      const payload = bytes.subarray(length.header, length.header + length.payload);
      const opcode = (bytes[0] as number) & 0x0f;
      if (opcode === OPCODE.close) {
        this.closeCode = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
        this.socket.end(frame(payload, { opcode: OPCODE.close }));
      }
      if (opcode === OPCODE.binary) this.#decode(Buffer.from(payload));
      bytes = bytes.subarray(length.header + length.payload);
    }
    this.#frames = bytes;
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameOptions {
  opcode?: number;
  fin?: boolean;
  masked?: boolean;
  /** The reserved bit that says "compressed". */
  rsv1?: boolean;
  /** What the frame says instead of the truth. */
  claimedLength?: bigint;
}

/** One WebSocket frame from a client. */
export function frame(payload: Uint8Array, options: FrameOptions = {}): Buffer {
  const { opcode = OPCODE.binary, fin = true, masked = true, rsv1 = false } = options;
  const length = options.claimedLength ?? BigInt(payload.length);
  const head = [(fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode];
  const mask = masked ? 0x80 : 0;
  if (length < 126n) head.push(mask | Number(length));
  else if (length < 65_536n) head.push(mask | 126, Number(length >> 8n), Number(length & 0xffn));
  else {
    head.push(mask | 127);
    for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number((length >> shift) & 0xffn));
  }
  // A mask of zeros is a mask.
  if (masked) head.push(0, 0, 0, 0);
  return Buffer.concat([Uint8Array.from(head), payload]);
}

function lengthOf(bytes: Buffer): { header: number; payload: number } | undefined {
  const short = (bytes[1] as number) & 0x7f;
  if (short < 126) return { header: 2, payload: short };
  if (short === 126) return bytes.length < 4 ? undefined : { header: 4, payload: bytes.readUInt16BE(2) };
  return bytes.length < 10 ? undefined : { header: 10, payload: Number(bytes.readBigUInt64BE(2)) };
}
