import type { SessionMachine } from '@sluice/queue/session/session-machine';
import type { StreamState } from '@sluice/queue/session/streams';

/**
 * All streams of a partition, a page at a time. It walks the living table and keeps no copy: what begins meanwhile comes
 * at its end, what ends before the walk is there does not come, and whoever gets the pages is told of both as they happen.
 * So pages and changes together are right in any mixture, as long as their order is kept. For that it never looks ahead: a
 * stream that was taken from the table and not sent could end in between.
 */
export class StreamImage {
  /** Of the leadership whose streams these are. */
  readonly term: number;
  readonly #streams: Iterator<Readonly<StreamState>>;
  /** Known with the last page, which may be empty. */
  isOver = false;

  /** About, of filters; one always fits. For each partition that is led here one is under way to a gateway. */
  static readonly PAGE_BYTES = 64 * 1024;

  constructor(sessions: Pick<SessionMachine, 'streams'>, term: number) {
    this.term = term;
    this.#streams = sessions.streams()[Symbol.iterator]();
  }

  page(): { streamId: number; filter: string }[] {
    const page: { streamId: number; filter: string }[] = [];
    for (let bytes = 0; bytes < StreamImage.PAGE_BYTES; ) {
      const next = this.#streams.next();
      if (next.done === true) {
        this.isOver = true;
        break;
      }
      const { streamId, filter } = next.value;
      page.push({ streamId, filter });
      bytes += filter.length + STREAM_BYTES;
    }
    return page;
  }
}

/** Beside the filter. */
const STREAM_BYTES = 16;
