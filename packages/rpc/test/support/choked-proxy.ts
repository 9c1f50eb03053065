import { connect, createServer, type Server, type Socket } from 'node:net';

/** A wire on which what is sent there waits until it is let through, a bit at a time; answers come back at once. */
export class ChokedProxy {
  readonly #server: Server;
  #far: Socket | undefined;
  #near: Socket | undefined;
  #waiting: Buffer[] = [];
  #chokes = false;
  passedBytes = 0;
  answeredBytes = 0;

  constructor(target: number) {
    this.#server = createServer((near) => {
      const far = connect(target, '127.0.0.1');
      this.#near = near;
      this.#far = far;
      for (const socket of [near, far]) socket.on('error', () => {});
      near.on('data', (bytes) => {
        this.#waiting.push(bytes);
        if (!this.#chokes) this.let(bytes.length);
      });
      far.on('data', (bytes) => {
        this.answeredBytes += bytes.length;
        near.write(bytes);
      });
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

  choke(): void {
    this.#chokes = true;
  }

  get waitingBytes(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0);
  }

  /** So many bytes, or fewer if fewer wait. */
  let(bytes: number): void {
    const all = Buffer.concat(this.#waiting);
    this.#far?.write(all.subarray(0, bytes));
    this.passedBytes += Math.min(bytes, all.length);
    this.#waiting = bytes < all.length ? [all.subarray(bytes)] : [];
  }

  close(): void {
    this.#server.close();
    this.#near?.destroy();
    this.#far?.destroy();
  }
}
