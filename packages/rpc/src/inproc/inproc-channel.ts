import { Inbox } from '../inbox.ts';
import type { Channel } from '../transport.ts';

/** What lies between two ends, in one direction. */
export interface InprocLink {
  /** What the receiver gets for what was sent: the same object, or its copy. */
  copy(message: unknown): unknown;
  /** True: what is sent now is lost. */
  isCut(): boolean;
  /** Runs the task later, never inside the call. Tasks of one direction may be late, a channel keeps its order. */
  readonly schedule: (task: () => void) => void;
}

/** @returns the opener's end and the acceptor's. `onEnd` is called once, when the first of them is closed. */
export function inprocPair(
  there: InprocLink,
  back: InprocLink,
  onEnd: () => void = () => {},
): { near: InprocChannel; far: InprocChannel } {
  const near = new InprocChannel(there, onEnd);
  const far = new InprocChannel(back, onEnd);
  near.join(far);
  far.join(near);
  return { near, far };
}

/** One end. Its inbox is drained in one task, however many messages were sent in the turn. */
export class InprocChannel implements Channel<unknown, unknown> {
  /** Nothing is buffered on the way. */
  readonly unsentBytes = 0;
  isPending = false;
  readonly #link: InprocLink;
  readonly #onEnd: () => void;
  #peer: InprocChannel | undefined;
  readonly #inbox = new Inbox(() => {
    if (this.#peerClosed && this.#inbox.isEmpty) this.end();
  });
  #closeListener: (() => void) | undefined;
  #closed = false;
  #peerClosed = false;
  #lost = false;

  constructor(link: InprocLink, onEnd: () => void) {
    this.#link = link;
    this.#onEnd = onEnd;
  }

  join(peer: InprocChannel): void {
    this.#peer = peer;
  }

  /** Something sent from this end was cut off: a stream with a hole must not go on. */
  get lost(): boolean {
    return this.#lost;
  }

  /** The opening itself was cut off: nobody is at the other end. */
  loseOpening(): void {
    this.#lost = true;
    this.isPending = true;
  }

  send(message: unknown): void {
    if (this.#closed) return;
    if (this.#lost || this.#link.isCut()) {
      this.#lost = true;
      return;
    }
    this.#peer?.accept(this.#link.copy(message), this.#link);
  }

  accept(message: unknown, link: InprocLink): void {
    if (this.#closed) return;
    this.#inbox.push(message);
    this.#inbox.handOver(link.schedule);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#inbox.listen(listener);
    this.#inbox.handOver(this.#link.schedule);
  }

  onClose(listener: () => void): void {
    this.#closeListener = listener;
    if (this.#closed) queueMicrotask(listener);
  }

  close(): void {
    if (this.#closed) return;
    this.end();
    const peer = this.#peer;
    if (peer === undefined) return;
    // The other end learns nothing while the way there is cut; the network closes it when that changes.
    if (this.#lost || this.#link.isCut()) this.#lost = true;
    else this.#link.schedule(() => peer.endAfterInbox());
  }

  /** Closes this end only. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox.close();
    this.#onEnd();
    if (this.#closeListener !== undefined) queueMicrotask(this.#closeListener);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What the peer sent before it closed is delivered first. */
  endAfterInbox(): void {
    if (this.#inbox.isEmpty || !this.#inbox.isHeard) this.end();
    else this.#peerClosed = true;
  }
}
