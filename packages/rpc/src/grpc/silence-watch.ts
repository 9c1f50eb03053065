import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { SIGN_BYTES_MAX, SILENCE_LOOK_MS, SILENT_LOOKS, WINDOW_BYTES } from './limits.ts';

/**
 * Ends connections whose peer is gone without a word, and asks only those that are silent. Every byte that arrives is a
 * sign of life, the peer's own question as well: who opened a connection asks a look earlier, so that one of two idle
 * ends does. A timer a connection would wake a node of a small cluster dozens of times a second for nothing; here all
 * of them are looked at together, and their questions, which leave together, arrive together.
 *
 * A question waits behind everything that was sent before it, and where that comes through slowly its answer comes too late:
 * a connection that only carries one way would be given up while it carries, and what was under way begin anew, behind
 * more. So whoever hears and says nothing says that it hears: a byte more of window, which leaves with what comes next and
 * wants no answer. Pings would: no more than ten may be unanswered. Signs of life alone are not worth one, or two ends
 * would go on telling each other for ever.
 *
 * Looks are counted, not time: a process that did not run for a while has looked once, and has yet to read what came.
 */
class SilenceWatch {
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;

  /** From now on until it is closed. `silent`: nothing came although it was asked; it is for the caller to end it. */
  watch(session: Http2Session, socket: Socket, end: 'opener' | 'server', silent: () => void): void {
    const askLooks = end === 'opener' ? 1 : 2;
    const watched: Watched = {
      ...{ session, socket, askLooks, silent, quietLooks: 0, windowBytes: WINDOW_BYTES },
      ...{ readBytes: socket.bytesRead, writtenBytes: socket.bytesWritten },
    };
    this.#watched.add(watched);
    session.once('close', () => this.#forget(watched));
    this.#timer ??= setInterval(() => this.#look(), SILENCE_LOOK_MS).unref();
  }

  #look(): void {
    for (const watched of this.#watched) {
      const { session, socket } = watched;
      if (session.destroyed) continue;
      const { bytesRead, bytesWritten } = socket;
      const [heardBytes, saidBytes] = [bytesRead - watched.readBytes, bytesWritten - watched.writtenBytes];
      watched.readBytes = bytesRead;
      // Before anything is asked: a question is something said until the next look.
      watched.writtenBytes = bytesWritten;
      if (heardBytes > 0) {
        watched.quietLooks = 0;
        if (saidBytes === 0 && heardBytes > SIGN_BYTES_MAX) session.setLocalWindowSize(++watched.windowBytes);
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
  writtenBytes: number;
  quietLooks: number;
  /** What the peer may send on the connection; it begins with `WINDOW_BYTES` at both ends. */
  windowBytes: number;
}

/** Its bytes have been counted. */
const answered = (): void => {};

/** One for the process: its connections have one timer, whichever end of them it is. */
export const silenceWatch = new SilenceWatch();
