import { Decoder } from '@sluice/mqtt/codec/decoder';
import type { Packet, ProtocolVersion } from '@sluice/mqtt/codec/packet';
import type { GatewayLimits } from '../gateway-limits.ts';

/** Why a connection is not read. Several may hold at once. */
export const ReadPause = {
  AUTHENTICATING: 1,
  /** The durable side takes no more. */
  CONGESTED: 2,
  /** Too much published and not acknowledged. */
  UNACKNOWLEDGED: 4,
  /** The client does not read our answers. */
  ANSWERS_UNREAD: 8,
  DRAINING: 16,
  /** A request of many filters is under way. */
  UNFINISHED: 32,
  /** Enough is published in this pass of the event loop. */
  OTHERS_TURN: 64,
} as const;
export type ReadPause = (typeof ReadPause)[keyof typeof ReadPause];

/** Pauses that say nothing about who publishes too fast. */
export const OWN_DOING: ReadonlySet<ReadPause> = new Set([ReadPause.AUTHENTICATING, ReadPause.UNFINISHED]);

export interface PacketSink {
  /** False when the connection has ended: nothing more is decoded. */
  packet(packet: Packet): boolean;
}

/**
 * Bytes to packets, all packets of a chunk in one go, until a reason to pause comes up: then even packets that have
 * arrived stay undecoded, so that a bound on what one connection may have in flight holds exactly. The socket is paused
 * with it; what lies in the decoder meanwhile is one chunk and one incomplete packet.
 *
 * @hotpath
 */
export class ReadLoop {
  readonly #decoder: Decoder;
  readonly #sink: PacketSink;
  #pauses = 0;
  #running = false;
  #stopped = false;
  #isBehind = false;

  constructor(sink: PacketSink, limits: GatewayLimits) {
    this.#sink = sink;
    this.#decoder = new Decoder({
      maximumPacketSizeBytes: limits.maximumPacketSizeBytes,
      preConnectBytesMax: limits.connectBytesMax,
    });
  }

  get protocolVersion(): ProtocolVersion {
    return this.#decoder.protocolVersion;
  }
  get paused(): boolean {
    return this.#pauses !== 0;
  }
  /** Something that came may lie undecoded, since the loop ended for a pause. */
  get isBehind(): boolean {
    return this.#isBehind;
  }
  isPausedFor(pause: ReadPause): boolean {
    return (this.#pauses & pause) !== 0;
  }

  push(chunk: Uint8Array): void {
    if (!this.#stopped) this.#decoder.push(chunk);
  }

  /** As `push`, of bytes that may change after `reclaim`: `Decoder`. */
  lend(chunk: Buffer): void {
    if (!this.#stopped) this.#decoder.lend(chunk);
  }
  reclaim(): void {
    this.#decoder.reclaim();
  }

  /** Where the next bytes belong, if anywhere: `Decoder`. */
  get room(): Uint8Array | undefined {
    return this.#stopped ? undefined : this.#decoder.room;
  }
  filled(count: number): void {
    if (!this.#stopped) this.#decoder.filled(count);
  }

  /** True when this was the first reason. */
  pause(pause: ReadPause): boolean {
    const before = this.#pauses;
    this.#pauses |= pause;
    return before === 0;
  }

  /** True when no reason is left. The caller lets the loop run again in a turn of its own. */
  unpause(pause: ReadPause): boolean {
    const before = this.#pauses;
    this.#pauses &= ~pause;
    return before !== 0 && this.#pauses === 0;
  }

  /** Throws what the decoder throws; the loop is then at its end. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#pauses === 0 && !this.#stopped) {
        const packet = this.#decoder.next();
        if (packet === undefined || !this.#sink.packet(packet)) return;
      }
    } finally {
      this.#running = false;
      this.#isBehind = this.#pauses !== 0;
    }
  }

  /** Its sender is no stranger any more. */
  admit(): void {
    this.#decoder.admit();
  }

  stop(): void {
    this.#stopped = true;
  }
}
