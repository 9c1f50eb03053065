import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { isPassword, type PasswordHash, wastePassword } from './password-hash.ts';

/**
 * Compares passwords with their slow hashes, a few at once. A hash takes some 40 ms of one of the four threads that the
 * storage writes with, too: a flood of CONNECTs would stop the disk, not only the door. So two run, a bounded number
 * waits, and who comes beyond that is told that the server is busy.
 *
 * A password that was right is remembered for its hash, as a sum under a key that this process alone has: ten thousand
 * clients that come back after a restart of their network do not cost seven minutes.
 */
export class PasswordGate {
  readonly #key = randomBytes(32);
  /** Gone with the user they belong to. */
  readonly #right = new WeakMap<PasswordHash, Buffer>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  static readonly AT_ONCE = 2;
  static readonly WAITING_MAX = 512;

  get waiting(): number {
    return this.#waiting.length;
  }

  isRight(password: Uint8Array, kept: PasswordHash): boolean | Promise<boolean | 'busy'> {
    const sum = this.sum(password);
    const remembered = this.#right.get(kept);
    if (remembered !== undefined && timingSafeEqual(sum, remembered)) return true;
    return this.#inTurn(async () => {
      const right = await isPassword(password, kept);
      if (right) this.#right.set(kept, sum);
      return right;
    });
  }

  /** Costs what a wrong password costs. */
  waste(password: Uint8Array): Promise<unknown> {
    return this.#inTurn(() => wastePassword(password));
  }

  /** For comparing passwords that are known as such. */
  sum(password: Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(password).digest();
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T | 'busy'> {
    if (this.#running >= PasswordGate.AT_ONCE) {
      if (this.#waiting.length >= PasswordGate.WAITING_MAX) return 'busy';
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await work();
    } finally {
      // The place goes to whoever waits longest.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
