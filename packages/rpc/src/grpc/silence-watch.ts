import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { SILENCE_LOOK_MS, SILENT_LOOKS } from './limits.ts';

/**
 * Ends connections whose peer is gone without a word, and asks only those that are silent. Every byte that arrives is a
 * sign of life, the peer's own question as well: who opened a connection asks a look earlier, so that one of two idle
 * ends does. A timer a connection would wake a node of a small cluster dozens of times a second for nothing; here all
 * of them are looked at together, and their questions, which leave together, arrive together.
 *
 * Looks are counted, not time: a process that did not run for a while has looked once, and has yet to read what came.
 */
class SilenceWatch {
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;

  /** From now on until it is closed. `silent`: nothing came although it was asked; it is for the caller to end it. */
  watch(session: Http2Session, socket: Socket, end: 'opener' | 'server', silent: () => void): void {
    const askLooks = end === 'opener' ? 1 : 2;
    const watched = { session, socket, askLooks, silent, readBytes: socket.bytesRead, quietLooks: 0 };
    this.#watched.add(watched);
    session.once('close', () => this.#forget(watched));
    this.#timer ??= setInterval(() => this.#look(), SILENCE_LOOK_MS).unref();
  }

  #look(): void {
    for (const watched of this.#watched) {
      const { session, socket } = watched;
      if (session.destroyed) continue;
      const readBytes = socket.bytesRead;
      if (readBytes !== watched.readBytes) {
        watched.readBytes = readBytes;
        watched.quietLooks = 0;
      } else if (++watched.quietLooks === watched.askLooks) session.ping(answered);
      else if (watched.quietLooks === SILENT_LOOKS) watched.silent();
    }
  }

  #forget(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

interface Watched {
  readonly session: Http2Session;
  readonly socket: Socket;
  readonly askLooks: number;
  readonly silent: () => void;
  readBytes: number;
  quietLooks: number;
}

/** Its bytes have been counted. */
const answered = (): void => {};

/** One for the process: its connections have one timer, whichever end of them it is. */
export const silenceWatch = new SilenceWatch();
