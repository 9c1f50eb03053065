import { connect, createServer, type Server, type Socket } from 'node:net';

/** A wire that can be cut without either end being told: what is sent into it goes nowhere, and nothing is closed. */
export class CuttableProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;
  /** Connections there have been, whether or not anything came through. */
  accepted = 0;

  constructor(target: number) {
    this.#server = createServer((near) => {
      this.accepted++;
      const far = connect(target, '127.0.0.1');
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  cut(): void {
    this.#cut = true;
  }

  heal(): void {
    this.#cut = false;
  }

  /** Every connection breaks, and both ends are told. */
  sever(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('error', () => {});
    from.on('data', (bytes) => {
      if (!this.#cut) to.write(bytes);
    });
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!this.#cut) to.destroy();
    });
  }
}
