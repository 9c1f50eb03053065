import type { ByteChannel, ByteSink, PeerCertificate, Transport } from '../connection/byte-channel.ts';
import { TokenBucket } from './token-bucket.ts';

/** What clients may send in a second, each of them and all of a listener; 0: anything. */
export interface IngressRates {
  readonly clientMessages: number;
  readonly clientBytes: number;
  readonly listenerMessages: number;
  readonly listenerBytes: number;
}

/**
 * Reads from clients no faster than they may send. Dropping what is too much would lose what QoS 1 promised, and refusing it
 * would be heard by no 3.1.1 client: so who is over its rate is not read until the mean is right again, and feels it as a
 * network that is slower. What had been read counts, so a burst is paid for afterwards. One timer for all, and only while
 * somebody waits.
 */
export class IngressPacer {
  readonly #rates: IngressRates;
  readonly #nowMs: () => number;
  readonly #paused: (pausedMs: number) => void;
  readonly #waiting = new Set<PacedChannel>();
  #timer: NodeJS.Timeout | undefined;

  static readonly LOOK_MS = 20;

  constructor(options: { rates: IngressRates; nowMs: () => number; paused: (pausedMs: number) => void }) {
    this.#rates = options.rates;
    this.#nowMs = options.nowMs;
    this.#paused = options.paused;
  }

  /** Undefined: nothing is bounded, and channels are as they are. */
  forListener(): ((channel: ByteChannel) => ByteChannel) | undefined {
    const { clientMessages, clientBytes, listenerMessages, listenerBytes } = this.#rates;
    if (clientMessages + clientBytes + listenerMessages + listenerBytes === 0) return undefined;
    const messages = bucketOf(listenerMessages, this.#nowMs());
    const bytes = bucketOf(listenerBytes, this.#nowMs());
    return (channel) => {
      const nowMs = this.#nowMs();
      const ofMessages = [bucketOf(clientMessages, nowMs), messages].filter((bucket) => bucket !== undefined);
      const ofBytes = [bucketOf(clientBytes, nowMs), bytes].filter((bucket) => bucket !== undefined);
      return new PacedChannel(channel, this, ofMessages, ofBytes);
    };
  }

  nowMs(): number {
    return this.#nowMs();
  }

  wait(channel: PacedChannel): void {
    this.#waiting.add(channel);
    this.#timer ??= setInterval(() => this.#look(), IngressPacer.LOOK_MS);
    this.#timer.unref();
  }

  forget(channel: PacedChannel): void {
    this.#waiting.delete(channel);
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const nowMs = this.#nowMs();
    for (const channel of this.#waiting) {
      const pausedMs = channel.goOn(nowMs);
      if (pausedMs === undefined) continue;
      this.#paused(pausedMs);
      this.forget(channel);
    }
  }
}

function bucketOf(perSecond: number, nowMs: number): TokenBucket | undefined {
  return perSecond === 0 ? undefined : new TokenBucket(perSecond, nowMs);
}

/**
 * A channel whose bytes and messages are counted against rates. It pauses itself, beside what its connection asks: it is
 * read when neither minds.
 */
class PacedChannel implements ByteChannel, ByteSink {
  readonly #inner: ByteChannel;
  readonly #pacer: IngressPacer;
  readonly #messages: readonly TokenBucket[];
  readonly #bytes: readonly TokenBucket[];
  #sink: ByteSink | undefined;
  #isPausedByConnection = false;
  /** Monotonic; 0: it is within its rates. */
  #pausedSinceMs = 0;
  #pausedUntilMs = 0;

  constructor(
    inner: ByteChannel,
    pacer: IngressPacer,
    messages: readonly TokenBucket[],
    bytes: readonly TokenBucket[],
  ) {
    this.#inner = inner;
    this.#pacer = pacer;
    this.#messages = messages;
    this.#bytes = bytes;
  }

  get transport(): Transport {
    return this.#inner.transport;
  }
  get peerHost(): string {
    return this.#inner.peerHost;
  }
  get peerName(): string {
    return this.#inner.peerName;
  }
  get certificate(): PeerCertificate | undefined {
    return this.#inner.certificate;
  }
  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }
  get heldBackUntilMs(): number {
    return this.#pausedSinceMs === 0 ? this.#pausedUntilMs : this.#pacer.nowMs();
  }

  open(sink: ByteSink): void {
    this.#sink = sink;
    this.#inner.open(this);
  }
  write(chunks: readonly Uint8Array[]): void {
    this.#inner.write(chunks);
  }
  pause(): void {
    this.#isPausedByConnection = true;
    this.#inner.pause();
  }
  resume(): void {
    this.#isPausedByConnection = false;
    if (this.#pausedSinceMs === 0) this.#inner.resume();
  }
  probe(): void {
    this.#inner.probe?.();
  }
  end(): void {
    // What still arrives is thrown away, and nobody has to wait for that.
    this.#release();
    this.#inner.end();
  }
  destroy(): void {
    this.#inner.destroy();
  }

  /** A message was taken from it. */
  published(): void {
    this.#spend(this.#messages, 1);
  }

  /** @returns how long it waited, when it waits no more; undefined while its debt is not paid. */
  goOn(nowMs: number): number | undefined {
    for (const bucket of this.#messages) if (bucket.isInDebt(nowMs)) return undefined;
    for (const bucket of this.#bytes) if (bucket.isInDebt(nowMs)) return undefined;
    const pausedMs = nowMs - this.#pausedSinceMs;
    this.#pausedSinceMs = 0;
    this.#pausedUntilMs = nowMs;
    if (!this.#isPausedByConnection) this.#inner.resume();
    return pausedMs;
  }

  // ---- what comes in

  get pieceBytesMax(): number {
    return this.#sink?.pieceBytesMax ?? 0;
  }
  bytes(chunk: Uint8Array): void {
    this.#spend(this.#bytes, chunk.length);
    this.#sink?.bytes(chunk);
  }
  lent(chunk: Buffer): void {
    this.#spend(this.#bytes, chunk.length);
    this.#sink?.lent(chunk);
  }
  get room(): Uint8Array | undefined {
    return this.#sink?.room;
  }
  filled(count: number): void {
    this.#spend(this.#bytes, count);
    this.#sink?.filled(count);
  }
  misused(why: string): void {
    this.#sink?.misused(why);
  }
  drained(): void {
    this.#sink?.drained();
  }
  closed(): void {
    this.#pausedSinceMs = 0;
    this.#pacer.forget(this);
    this.#sink?.closed();
  }

  #spend(buckets: readonly TokenBucket[], amount: number): void {
    if (buckets.length === 0) return;
    const nowMs = this.#pacer.nowMs();
    let isOver = false;
    for (const bucket of buckets) if (bucket.spend(amount, nowMs)) isOver = true;
    if (!isOver || this.#pausedSinceMs !== 0) return;
    // A monotonic clock may begin at 0.
    this.#pausedSinceMs = Math.max(nowMs, Number.MIN_VALUE);
    this.#inner.pause();
    this.#pacer.wait(this);
  }

  #release(): void {
    if (this.#pausedSinceMs === 0) return;
    this.#pausedSinceMs = 0;
    this.#pacer.forget(this);
    this.#inner.resume();
  }
}
