import { write, writeSync } from 'node:fs';

/** What may wait for a reader that is slow; beyond it lines are lost, because a log must not stop a broker. */
const WAITING_CHARACTERS_MAX = 4 * 1024 * 1024;
/** As much as the system takes of a pipe at once. */
const WRITE_CHARACTERS = 64 * 1024;
/** A reader whose pipe is full is tried again after so long. */
const PAUSE_MS = 100;
/** By whoever leaves, all in all: then its lines are lost, and the process ends. */
const LEAVING_PAUSES_MAX = 10;
const STANDARD_ERROR = 2;

/**
 * Lines on their way to a file descriptor, in order, written in the background. A log must neither stop a broker nor keep
 * it from ending, and the obvious ways do: a write to a pipe that nobody reads blocks whoever writes, and a process waits
 * for its threads when it ends; who writes what is left until it is written does so for ever when the disk is full.
 *
 * | the system says         | while the process runs           | when it leaves (`flushSync`)   |
 * |-------------------------|----------------------------------|--------------------------------|
 * | full (EAGAIN, EBUSY)    | tried again; what comes waits    | ten pauses, then lost          |
 * | anything else           | what was to be written is lost   | all of it is lost              |
 */
export class LogSink {
  readonly #fd: number;
  readonly #isSync: boolean;
  #lines: string[] = [];
  #waitingCharacters = 0;
  /** What is being written or tried again, without what was taken of it. */
  #bytes: Buffer = NOTHING;
  #isUnderWay = false;
  /** How many lines that is. */
  #count = 0;
  /** What was logged in this turn of the event loop is written behind it, or by who leaves in it. */
  #soon: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** By `flushSync`, however often it is called: a process leaves once. */
  #pauses = 0;
  readonly #tellLost: (lines: number) => void;
  #lost = 0;
  #lostTold = 0;
  /** The last write met an error: what would be told now would be lost as well. */
  #isFailing = false;

  /**
   * `isSync`: a line is written when its call returns. `tellLost`: before the first line that is likely to arrive again,
   * how many were lost since this began; it may write one itself.
   */
  constructor(fd: number, isSync: boolean, tellLost: (lines: number) => void) {
    this.#fd = fd;
    this.#isSync = isSync;
    this.#tellLost = tellLost;
    // Whoever asks for the stream makes its pipe or socket one that says that it is full, instead of blocking.
    if (fd === STANDARD_ERROR) void process.stderr;
  }

  write(line: string): void {
    if (this.#waitingCharacters + line.length > WAITING_CHARACTERS_MAX) {
      this.#lost++;
      return;
    }
    if (this.#lost > this.#lostTold && !this.#isFailing) {
      this.#lostTold = this.#lost;
      this.#tellLost(this.#lost);
    }
    this.#lines.push(line);
    this.#waitingCharacters += line.length;
    if (this.#isSync) this.flushSync();
    else if (!this.#isUnderWay && this.#retry === undefined) this.#soon ??= setImmediate(() => this.#next());
  }

  /** Writes what waits, as far as it can be written soon. What is under way goes by itself, or with the process. */
  flushSync(): void {
    if (this.#isUnderWay) this.#bytes = NOTHING;
    while (this.#gathers()) {
      try {
        this.#taken(writeSync(this.#fd, this.#bytes));
      } catch (cause) {
        if (!isFull(cause) || this.#pauses === LEAVING_PAUSES_MAX) this.#lose();
        else {
          this.#pauses++;
          Atomics.wait(SLEEPER, 0, 0, PAUSE_MS);
        }
      }
    }
  }

  #next(): void {
    this.#soon = undefined;
    this.#retry = undefined;
    if (!this.#gathers()) return;
    this.#isUnderWay = true;
    write(this.#fd, this.#bytes, (cause, count) => this.#written(cause, count));
  }

  #written(cause: NodeJS.ErrnoException | null, count: number): void {
    this.#isUnderWay = false;
    if (cause === null) this.#taken(count);
    else if (isFull(cause)) {
      this.#retry = setTimeout(() => this.#next(), PAUSE_MS).unref();
      return;
    } else {
      this.#isFailing = true;
      this.#lost += this.#count;
      this.#bytes = NOTHING;
    }
    this.#next();
  }

  #taken(count: number): void {
    this.#isFailing = false;
    this.#bytes = this.#bytes.subarray(count);
  }

  /** Returns whether there is anything to write. */
  #gathers(): boolean {
    if (this.#bytes.length > 0) return true;
    if (this.#lines.length === 0) return false;
    let characters = 0;
    let count = 0;
    while (count < this.#lines.length && characters < WRITE_CHARACTERS) characters += this.#lines[count++]?.length ?? 0;
    this.#bytes = Buffer.from(this.#lines.splice(0, count).join(''));
    this.#count = count;
    this.#waitingCharacters -= characters;
    return true;
  }

  #lose(): void {
    this.#isFailing = true;
    this.#lost += this.#count + this.#lines.length;
    this.#bytes = NOTHING;
    this.#lines = [];
    this.#waitingCharacters = 0;
  }
}

function isFull(cause: unknown): boolean {
  const { code } = cause as NodeJS.ErrnoException;
  return code === 'EAGAIN' || code === 'EBUSY';
}

const NOTHING: Buffer = Buffer.alloc(0);
const SLEEPER = new Int32Array(new SharedArrayBuffer(4));
