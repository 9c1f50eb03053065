import { isatty } from 'node:tty';
import type { LogFields, Logger } from '@sluice/common/logger';
import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import { readableLogLine } from './log-line.ts';
import { LogSink } from './log-sink.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Standard error: standard output belongs to what a command answers. */
const LOG_FD = 2;

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
  readonly #file: LogSink;

  private constructor(logger: PinoLogger, file: LogSink) {
    this.#pino = logger;
    this.#file = file;
  }

  static open(options: JsonLoggerOptions = {}): JsonLogger {
    const terminal = options.sink === undefined && isatty(LOG_FD);
    const pretty = options.pretty ?? terminal;
    const file = new LogSink(options.fd ?? LOG_FD, options.sync ?? false, (linesLost) => {
      logger.warn({ linesLost }, 'lines of this log were lost, so many since it began');
    });
    const sink = options.sink ?? file;
    const logger = pino(
      {
        level: options.level ?? 'info',
        base: options.fields ?? {},
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      pretty ? readableSink(sink, terminal && process.env.NO_COLOR === undefined) : sink,
    );
    return new JsonLogger(logger, file);
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
    return new JsonLogger(this.#pino.child(fields), this.#file);
  }

  /** Writes what waits, as far as it can be written soon; never throws, so that it may stand in every way out. */
  flush(): void {
    this.#file.flushSync();
  }
}

function readableSink(sink: DestinationStream, colour: boolean): DestinationStream {
  return { write: (line) => sink.write(readableLogLine(line, colour)) };
}
