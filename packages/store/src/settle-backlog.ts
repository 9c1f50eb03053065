import type { Proposal, ProposeOutcome } from './partition.ts';

/**
 * Settlements on their way into the log. One that cannot be proposed now (too much is uncommitted, or leadership is
 * being handed over and may stay) is kept and tried again, in order: dispatch has forgotten the records, so nobody else
 * would settle them under this leadership. From `COMMANDS_MAX` on nothing more is handed out (`isBehind`), so no more
 * can be settled than consumers hold.
 */
export class SettleBacklog implements Proposal {
  readonly #propose: (command: Uint8Array, proposal: Proposal) => ProposeOutcome;
  readonly #leads: () => boolean;
  readonly #onCaughtUp: () => void;
  #waiting: Uint8Array[] = [];
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #isBehind = false;

  /** Commands, each of what one turn settled. */
  static readonly COMMANDS_MAX = 256;
  static readonly RETRY_MS = 20;

  constructor(options: {
    propose: (command: Uint8Array, proposal: Proposal) => ProposeOutcome;
    leads: () => boolean;
    /** It was behind and is not any more. */
    onCaughtUp: () => void;
  }) {
    this.#propose = options.propose;
    this.#leads = options.leads;
    this.#onCaughtUp = options.onCaughtUp;
  }

  /** The backlog reached its bound and is not empty yet. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Everything settled so far is in the log, or will never be. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#underWay === 0;
  }

  add(command: Uint8Array): void {
    this.#waiting.push(command);
    if (this.#timer === undefined) this.#drain();
    this.#isBehind ||= this.#waiting.length >= SettleBacklog.COMMANDS_MAX;
  }

  /** Leadership ended: the records stay unsettled and the next leader delivers them again. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
    this.#isBehind = false;
  }

  applied(): void {
    this.#underWay--;
  }

  dropped(): void {
    this.#underWay--;
  }

  #drain(): void {
    while (this.#waiting.length > 0) {
      const outcome = this.#propose(this.#waiting[0] as Uint8Array, this);
      if (outcome === 'proposed') this.#underWay++;
      else if (outcome === 'busy' || (outcome === 'not-leader' && this.#leads())) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#drain();
        }, SettleBacklog.RETRY_MS);
        return;
      }
      this.#waiting.shift();
    }
    if (!this.#isBehind) return;
    this.#isBehind = false;
    this.#onCaughtUp();
  }
}
