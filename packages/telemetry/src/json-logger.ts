import { isatty } from 'node:tty';
import type { LogFields, Logger } from '@sluice/common/logger';
import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import { readableLogLine } from './log-line.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What may wait for a reader that is slow; beyond it lines are dropped, because a log must not stop a broker. */
const WAITING_CHARACTERS_MAX = 4 * 1024 * 1024;
/** Standard error: standard output belongs to what a command answers. */
const LOG_FD = 2;
/** Of a tenth of a second, by who leaves and finds the reader's pipe full: then its lines are lost, and the process ends. */
const LEAVING_TRIES_MAX = 10;

export interface JsonLoggerOptions {
  level?: LogLevel;
  /** For people instead of machines; by default when the log goes to a terminal. */
  pretty?: boolean;
  /** On every line, e.g. the node's id. */
  fields?: LogFields;
  /** A line is written when its call returns: for who has no time left. */
  sync?: boolean;
  /** Standard error by default. */
  fd?: number;
  /** Where lines go; standard error by default. */
  sink?: DestinationStream;
}

/** The `Logger` port: a line of JSON an event, written in the background. `flush` before the process ends. */
export class JsonLogger implements Logger {
  readonly #pino: PinoLogger;
  readonly #flush: () => void;

  private constructor(logger: PinoLogger, flush: () => void) {
    this.#pino = logger;
    this.#flush = flush;
  }

  static open(options: JsonLoggerOptions = {}): JsonLogger {
    const terminal = options.sink === undefined && isatty(LOG_FD);
    const pretty = options.pretty ?? terminal;
    let flush = () => {};
    let sink = options.sink;
    if (sink === undefined) {
      const sync = options.sync ?? false;
      let isLeaving = sync;
      let tries = 0;
      const file = destination({
        dest: options.fd ?? LOG_FD,
        sync,
        maxLength: WAITING_CHARACTERS_MAX,
        retryEAGAIN: () => !isLeaving || tries++ < LEAVING_TRIES_MAX,
      });
      const flushSync = file.flushSync.bind(file);
      // Called at the exit of the process as well, where nothing may be thrown.
      file.flushSync = () => {
        isLeaving = true;
        try {
          flushSync();
        } catch {
          file.flushSync = () => {};
        }
        isLeaving = sync;
      };
      // A reader that went away is no reason to die: its lines are lost, nothing else.
      file.on('error', () => {});
      flush = () => file.flushSync();
      sink = file;
    }
    const logger = pino(
      {
        level: options.level ?? 'info',
        base: options.fields ?? {},
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      pretty ? readableSink(sink, terminal && process.env.NO_COLOR === undefined) : sink,
    );
    return new JsonLogger(logger, flush);
  }

  debug(fields: LogFields, message: string): void {
    this.#pino.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#pino.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#pino.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#pino.error(fields, message);
  }

  child(fields: LogFields): JsonLogger {
    return new JsonLogger(this.#pino.child(fields), this.#flush);
  }

  /** Writes what waits; never throws, so that it may stand in every way out. */
  flush(): void {
    try {
      this.#flush();
    } catch {
      // Nothing was written yet, or the reader is gone.
    }
  }
}

function readableSink(sink: DestinationStream, colour: boolean): DestinationStream {
  return { write: (line) => sink.write(readableLogLine(line, colour)) };
}
