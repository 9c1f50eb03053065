import type { Proposal, ProposeOutcome } from '../partition/proposal.ts';
import type { SettleReceipt } from './settle-batcher.ts';

/**
 * Settlements on their way into the log. One that cannot be proposed now (too much is uncommitted, or leadership is
 * being handed over and may stay) is kept and tried again, in order: dispatch has forgotten the records, so nobody else
 * would settle them under this leadership. From `COMMANDS_MAX` on nothing more is handed out (`isBehind`), so no more
 * can be settled than consumers hold.
 *
 * A receipt is given when its command and all before it are committed. After one that got lost nothing is confirmed any
 * more in this leadership: gateways count, and would forget the lost one with the later.
 */
export class SettleBacklog {
  readonly #propose: (command: Uint8Array, proposal: Proposal) => ProposeOutcome;
  readonly #leads: () => boolean;
  readonly #onCaughtUp: () => void;
  #waiting: SettleProposal[] = [];
  #newest: SettleProposal | undefined;
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #isBehind = false;
  /** The fate of a proposal may be told in a later one. */
  #leadership: SettleLeadership = { hasLost: false };

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

  /** Without a command there are only receipts, for what is under way. */
  add(command: Uint8Array | undefined, receipts: SettleReceipt[]): void {
    if (command === undefined) {
      if (this.#newest !== undefined) this.#newest.receipts.push(...receipts);
      else confirm(receipts, this.#leadership);
      return;
    }
    this.#newest = new SettleProposal(this, command, receipts, this.#leadership);
    this.#waiting.push(this.#newest);
    if (this.#timer === undefined) this.#drain();
    this.#isBehind ||= this.#waiting.length >= SettleBacklog.COMMANDS_MAX;
  }

  /** Leadership ended: whoever accepted what was not proposed tells the next leader. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
    this.#newest = undefined;
    this.#isBehind = false;
    this.#leadership = { hasLost: false };
  }

  ended(proposal: SettleProposal, isCommitted: boolean): void {
    this.#underWay--;
    if (this.#newest === proposal) this.#newest = undefined;
    const { leadership } = proposal;
    if (isCommitted) confirm(proposal.receipts, leadership);
    else leadership.hasLost = true;
  }

  #drain(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const outcome = this.#propose(next.command, next);
      if (outcome === 'proposed') this.#underWay++;
      else if (outcome === 'busy' || (outcome === 'not-leader' && this.#leads())) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#drain();
        }, SettleBacklog.RETRY_MS);
        return;
      } else this.#leadership.hasLost = true;
      this.#waiting.shift();
    }
    if (!this.#isBehind) return;
    this.#isBehind = false;
    this.#onCaughtUp();
  }
}

/** Under which something was proposed. */
interface SettleLeadership {
  /** Something that was proposed under it, or was to be, is not in the log. */
  hasLost: boolean;
}

function confirm(receipts: readonly SettleReceipt[], { hasLost }: SettleLeadership): void {
  if (hasLost) return;
  for (const receipt of receipts) receipt.confirmed();
}

/** What one turn settled, and who waits for it. */
class SettleProposal implements Proposal {
  readonly #backlog: SettleBacklog;
  readonly command: Uint8Array;
  readonly receipts: SettleReceipt[];
  readonly leadership: SettleLeadership;

  constructor(backlog: SettleBacklog, command: Uint8Array, receipts: SettleReceipt[], leadership: SettleLeadership) {
    this.#backlog = backlog;
    this.command = command;
    this.receipts = receipts;
    this.leadership = leadership;
  }

  applied(): void {
    this.#backlog.ended(this, true);
  }

  dropped(): void {
    this.#backlog.ended(this, false);
  }
}
