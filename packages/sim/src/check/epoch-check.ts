import { Violation } from '../simulation.ts';

/**
 * One connection has a session. What is checked is what a store says, in the order in which it says it: when it has told
 * somebody that the session is theirs, under an epoch, it brings nothing to anybody with a smaller one. Two stores may
 * differ for a moment, while the former leader does not know that it is one.
 */
export class EpochCheck {
  /** By store process and client: the highest epoch it gave, and when. */
  readonly #given = new Map<string, { epoch: number; atMs: number }>();
  /** Likewise, by epoch: when it brought something last. */
  readonly #brought = new Map<string, Map<number, number>>();
  /** By client and epoch: whose it is. */
  readonly #holders = new Map<string, string>();

  /** `holder`: the process of the gateway that asked. */
  given(store: string, clientId: string, epoch: number, sentAtMs: number, holder: string): void {
    const held = this.#holders.get(`${clientId}:${epoch}`);
    if (held !== undefined && held !== holder) {
      throw new Violation('epoch', `epoch ${epoch} of ${clientId} was given to ${held} and to ${holder}`);
    }
    this.#holders.set(`${clientId}:${epoch}`, holder);
    const key = `${store} ${clientId}`;
    const last = this.#given.get(key);
    if (last !== undefined && sentAtMs < last.atMs && epoch > last.epoch) {
      throw new Violation('epoch', `${store} gave ${clientId} epoch ${last.epoch} after ${epoch}`);
    }
    if (last !== undefined && epoch < last.epoch) return;
    this.#given.set(key, { epoch, atMs: sentAtMs });
    for (const [older, atMs] of this.#brought.get(key) ?? []) this.#fenced(store, clientId, older, atMs);
  }

  brought(store: string, clientId: string, epoch: number, sentAtMs: number): void {
    const key = `${store} ${clientId}`;
    const brought = this.#brought.get(key) ?? new Map<number, number>();
    if (brought.size === 0) this.#brought.set(key, brought);
    brought.set(epoch, sentAtMs);
    this.#fenced(store, clientId, epoch, sentAtMs);
  }

  #fenced(store: string, clientId: string, epoch: number, sentAtMs: number): void {
    const given = this.#given.get(`${store} ${clientId}`);
    if (given === undefined || epoch >= given.epoch || sentAtMs <= given.atMs) return;
    throw new Violation(
      'epoch',
      `${store} brought ${clientId} something with epoch ${epoch} at ${sentAtMs}, ${given.epoch} has it since ${given.atMs}`,
    );
  }
}
