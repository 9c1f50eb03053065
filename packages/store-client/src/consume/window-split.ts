/**
 * One worker's window over the partitions of a queue.
 *
 * Each partition's leader hands out up to the window it was told, knowing nothing of the others. The whole window for
 * each would give a worker several times what it can take while others are idle; a fixed share would leave a worker idle
 * whose share lies with an empty partition. So credit follows work: a partition that says that work waits (`waiting`)
 * gets what others do not use.
 *
 * Credit that is taken back is only free when the store says that it acts on the smaller window: until then it may have
 * assigned what is still on its way. `bound` is what may be outstanding at most, and the invariant is
 *
 *     the sum of all bounds, and of what is held of no consumer, is at most the window,
 *
 * except while a window that was made smaller, or a message that was held before, has not come back yet.
 *
 * Pure: it says what windows are to be (`plan`), its host sends them. Time comes as `tick`.
 */
export class WindowSplit {
  readonly parts: WindowPart[] = [];
  #window: number;
  /** Held by the client and by no consumer: they still take its places. */
  #orphans = 0;
  #orphanTicks = 0;
  /** Where the uneven rest begins; moves on while there is less credit than partitions with work. */
  #turn = 0;
  #rotates = false;

  /** Ticks until a store that does not answer is taken to have acted on its window. */
  static readonly UNANSWERED_TICKS = 8;
  /** Ticks until what no consumer holds takes no place any more: some is never answered. */
  static readonly ORPHAN_TICKS = 240;

  constructor(window: number) {
    this.#window = window;
  }

  get window(): number {
    return this.#window;
  }

  get orphans(): number {
    return this.#orphans;
  }

  add(partition: number): WindowPart {
    const part: WindowPart = {
      partition,
      isOpen: false,
      isAttached: false,
      isRetiring: false,
      window: 0,
      bound: 0,
      held: 0,
      unanswered: 0,
      unansweredTicks: 0,
      isWaiting: false,
      isWanted: false,
    };
    this.parts.push(part);
    return part;
  }

  /** It is not drawn from any more; what the client holds of it stays with the client. */
  remove(part: WindowPart): void {
    this.closed(part);
    while (part.held > 0) this.lost(part);
    const at = this.parts.indexOf(part);
    if (at >= 0) this.parts.splice(at, 1);
  }

  setWindow(window: number): void {
    this.#window = window;
  }

  /** A leader is known: the next `plan` says with which window to attach there. */
  opened(part: WindowPart): void {
    part.isOpen = true;
  }

  /** The store was told `part.window` with the attach; from now on it is told what changes. */
  attached(part: WindowPart): void {
    part.isAttached = true;
  }

  /** The consumer is gone. What the client holds of it takes its places until another one is attached, which takes it over. */
  closed(part: WindowPart): void {
    part.isOpen = false;
    part.isAttached = false;
    part.window = 0;
    part.bound = part.held;
    part.unanswered = 0;
    part.isWaiting = false;
    part.isWanted = false;
  }

  delivered(part: WindowPart, count: number): void {
    part.held += count;
    if (part.held > part.bound) part.bound = part.held;
  }

  /** True when that freed credit, so that a `plan` may move it. */
  settled(part: WindowPart): boolean {
    part.held--;
    return this.#shrinkBound(part);
  }

  /** One that the client holds is not the consumer's any more: its store gave it to somebody else. */
  lost(part: WindowPart): void {
    part.held--;
    this.#orphans++;
    this.#orphanTicks = 0;
    this.#shrinkBound(part);
  }

  /** A message whose consumer is gone was answered by the client. */
  orphanSettled(): void {
    if (this.#orphans > 0) this.#orphans--;
  }

  /** The store said whether work waits. Saying the same again is how it answers a window (`contract/consume`). */
  heard(part: WindowPart, isWaiting: boolean): void {
    if (isWaiting === part.isWaiting) {
      if (part.unanswered > 0) part.unanswered--;
      this.#shrinkBound(part);
      return;
    }
    part.isWaiting = isWaiting;
    if (!isWaiting || part.isWanted) return;
    for (const other of this.parts) if (!other.isWaiting) other.isWanted = false;
    part.isWanted = true;
  }

  /** Whether `tick` has anything to do. */
  get wantsTicks(): boolean {
    if (this.#orphans > 0) return true;
    if (this.parts.length < 2) return false;
    if (this.#rotates) return true;
    for (const part of this.parts) if (part.unanswered > 0 || (part.isWanted && !part.isWaiting)) return true;
    return false;
  }

  /** Some time went by: takes an answer for granted that never came, gives others a turn, forgets where work was. */
  tick(): void {
    if (this.#rotates) this.#turn++;
    if (this.#orphans > 0 && ++this.#orphanTicks >= WindowSplit.ORPHAN_TICKS) this.#orphans = 0;
    for (const part of this.parts) {
      if (!part.isWaiting) part.isWanted = false;
      if (part.unanswered > 0 && ++part.unansweredTicks >= WindowSplit.UNANSWERED_TICKS) {
        part.unanswered = 0;
        this.#shrinkBound(part);
      }
    }
  }

  /**
   * Adds the attached parts whose window is another one now to `changed`: each is to be told it, once. One that has not
   * answered the former keeps it: two on their way may be answered as one, and nobody could say which.
   */
  plan(changed: WindowPart[]): void {
    const open = this.parts.filter(({ isOpen, isRetiring }) => isOpen && !isRetiring);
    let taken = this.#orphans;
    for (const part of this.parts) {
      if (part.isRetiring && part.window > 0 && part.unanswered === 0) this.#change(part, 0, changed);
      if (part.isRetiring || !part.isOpen) taken += part.bound;
    }
    const credit = Math.max(0, this.#window - taken);
    const targets = this.#targets(open, credit);
    let free = credit;
    for (let i = 0; i < open.length; i++) {
      const part = open[i] as WindowPart;
      const target = targets[i] as number;
      if (target < part.window && !this.#isBusy(part)) this.#change(part, target, changed);
      free -= part.bound;
    }
    // Where work waits comes first, then the others in turn.
    for (const waitingOnes of [true, false]) {
      for (let n = 0; n < open.length; n++) {
        const i = (this.#turn + n) % open.length;
        const part = open[i] as WindowPart;
        if (part.isWaiting === waitingOnes) free -= this.#raise(part, targets[i] as number, free, changed);
      }
    }
  }

  /** Returns what it took of the free credit. */
  #raise(part: WindowPart, target: number, free: number, changed: WindowPart[]): number {
    const reachable = Math.min(target, part.bound + Math.max(0, free));
    if (!part.isOpen || reachable <= part.window || this.#isBusy(part)) return 0;
    const taken = Math.max(0, reachable - part.bound);
    part.bound += taken;
    this.#change(part, reachable, changed);
    return taken;
  }

  /** A single partition has the whole window whatever was answered: a socket that is full must not wait for a store. */
  #isBusy(part: WindowPart): boolean {
    return part.unanswered > 0 && this.parts.length > 1;
  }

  #change(part: WindowPart, window: number, changed: WindowPart[]): void {
    part.window = window;
    if (!part.isAttached) return;
    part.unanswered++;
    part.unansweredTicks = 0;
    changed.push(part);
  }

  /** What each open part should have. Their sum is the credit. */
  #targets(open: readonly WindowPart[], credit: number): number[] {
    const targets = new Array<number>(open.length).fill(0);
    if (open.length === 0) return targets;
    const wanted = open.filter(({ isWanted }) => isWanted).length;
    const isEven = wanted === 0 || wanted === open.length;
    // With plenty, an idle partition keeps one, so that what comes next into it need not wait for credit.
    const kept = !isEven && credit >= 2 * open.length ? 1 : 0;
    const takers = isEven ? open.length : wanted;
    const pool = credit - kept * (open.length - takers);
    // Idle partitions need no turn: one without credit says when work comes.
    this.#rotates = wanted > 0 && pool > 0 && pool < takers;
    const share = Math.floor(pool / takers);
    let rest = pool - share * takers;
    for (let n = 0; n < open.length; n++) {
      const i = (this.#turn + n) % open.length;
      if (!isEven && !(open[i] as WindowPart).isWanted) targets[i] = kept;
      else targets[i] = share + (rest-- > 0 ? 1 : 0);
    }
    return targets;
  }

  #shrinkBound(part: WindowPart): boolean {
    const least = Math.max(part.window, part.held);
    if (part.unanswered > 0 || least >= part.bound) return false;
    part.bound = least;
    return true;
  }
}

export interface WindowPart {
  readonly partition: number;
  /** A consumer is attached, or about to be. */
  isOpen: boolean;
  isAttached: boolean;
  /** It gets no credit any more, and is removed when nothing of it is held. */
  isRetiring: boolean;
  /** What its store was, or is to be, told. */
  window: number;
  /** What may be outstanding there at most, as long as not every window was answered. */
  bound: number;
  /** Delivered and not settled. */
  held: number;
  /** Windows sent and not answered. */
  unanswered: number;
  unansweredTicks: number;
  /** The store has work for want of credit. */
  isWaiting: boolean;
  /** Was waiting when last any was, so that credit does not go back and forth with every message. */
  isWanted: boolean;
}
