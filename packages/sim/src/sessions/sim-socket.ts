import type { ByteChannel, ByteSink } from '@sluice/gateway/connection/byte-channel';
import type { Life, SimWorld } from '../sim-world.ts';

/**
 * A client's TCP connection to a gateway, as both ends see it: bytes in order, until it breaks. A gateway whose process
 * dies resets it, one whose machine dies is silent until the client has waited long enough; a client resets it, closes it,
 * or is just not there any more, which the gateway learns by its keep-alive.
 */
export class SimSocket implements ByteChannel {
  readonly transport = 'tcp';
  readonly peerHost = '192.0.2.1';
  readonly peerName: string;
  readonly bufferedBytes = 0;
  readonly #world: SimWorld;
  readonly #gateway: Life;
  readonly #latencyMs: () => number;
  readonly #client: SocketClient;
  #sink: ByteSink | undefined;
  #toGatewayMs = 0;
  #toClientMs = 0;
  /** Came while the gateway did not read. */
  readonly #unread: Uint8Array[] = [];
  #isPaused = false;
  #isGatewayClosed = false;
  #isClientClosed = false;

  /** So long a client waits for a machine that is gone. */
  static readonly SILENCE_MS = 3_000;

  constructor(options: {
    world: SimWorld;
    gateway: Life;
    name: string;
    latencyMs: () => number;
    client: SocketClient;
    accept: (socket: SimSocket) => void;
  }) {
    this.#world = options.world;
    this.#gateway = options.gateway;
    this.peerName = options.name;
    this.#latencyMs = options.latencyMs;
    this.#client = options.client;
    this.#toGateway(() => options.accept(this));
  }

  // ---- the client's end

  send(bytes: Uint8Array): void {
    if (this.#isClientClosed) return;
    this.#toGateway(() => {
      if (this.#isGatewayClosed) return;
      if (this.#isPaused) this.#unread.push(bytes);
      else this.#sink?.bytes(bytes);
    });
  }

  /** What was sent before arrives before. */
  close(): void {
    if (this.#isClientClosed) return;
    this.#isClientClosed = true;
    this.#toGateway(() => this.#gatewayClosed());
  }

  /** Nobody is told. */
  vanish(): void {
    this.#isClientClosed = true;
  }

  // ---- the gateway's end

  open(sink: ByteSink): void {
    this.#sink = sink;
  }

  write(chunks: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(chunks);
    this.#toClient(() => this.#client.bytes(bytes));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#unread.length === 0) return;
    this.#world.after(0, this.#gateway, () => {
      while (!this.#isPaused && !this.#isGatewayClosed && this.#unread.length > 0) {
        this.#sink?.bytes(this.#unread.shift() as Uint8Array);
      }
    });
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.#isGatewayClosed) return;
    this.#clientClosed(0);
    this.#world.after(0, this.#gateway, () => this.#gatewayClosed());
  }

  /** Its process or its machine is gone. */
  gatewayDied(how: 'process' | 'power'): void {
    this.#isGatewayClosed = true;
    this.#clientClosed(how === 'process' ? 0 : SimSocket.SILENCE_MS);
  }

  #gatewayClosed(): void {
    if (this.#isGatewayClosed) return;
    this.#isGatewayClosed = true;
    this.#sink?.closed();
  }

  #clientClosed(afterMs: number): void {
    this.#toClientMs += afterMs;
    this.#toClient(() => {
      this.#isClientClosed = true;
      this.#client.closed();
    });
  }

  #toGateway(act: () => void): void {
    this.#toGatewayMs = Math.max(this.#toGatewayMs, this.#world.nowMs + this.#latencyMs());
    this.#world.after(this.#toGatewayMs - this.#world.nowMs, this.#gateway, act);
  }

  #toClient(act: () => void): void {
    this.#toClientMs = Math.max(this.#toClientMs, this.#world.nowMs + this.#latencyMs());
    this.#world.after(this.#toClientMs - this.#world.nowMs, this.#world.outside, () => {
      if (!this.#isClientClosed) act();
    });
  }
}

export interface SocketClient {
  bytes(chunk: Uint8Array): void;
  closed(): void;
}
