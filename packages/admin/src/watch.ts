import { DURATION_FORM, humanizeDuration, parseDuration } from '@sluice/common/human-duration';
import type { Command } from 'commander';
import { type CommonOptions, run } from './api-command.ts';
import { CliFailure, EXIT } from './cli-failure.ts';
import type { CliHost } from './cli-host.ts';
import type { Connection } from './rest-client.ts';

const INTERVAL_MS_MIN = 200;
/** Timers know no month. */
const INTERVAL_MS_MAX = 24 * 3_600_000;
/** The time above, and the last line, which stays empty so that nothing scrolls. */
const LINES_AROUND = 2;
/** The cursor to the first place, and nothing behind it: what was there is written over without a flicker. */
const HOME = '\u001b[H';
const REST_OF_LINE = '\u001b[K';
const REST_OF_SCREEN = '\u001b[J';

export interface WatchOptions extends CommonOptions {
  watch?: boolean;
  interval?: string;
  looks?: string;
}

export function addWatchOptions(command: Command): Command {
  return command
    .option('-w, --watch', 'go on looking, until Ctrl-C')
    .option('--interval <DURATION>', 'between two looks', '2s')
    .option('--looks <COUNT>', 'with --watch: end after so many');
}

/**
 * Prints what `look` says, once or over and over. On a terminal each look takes the place of the one before, cut to what
 * fits; elsewhere they follow each other. While one watches, a server that does not answer is news and no end: it is
 * watched because something may happen to it.
 */
export function runWatching(
  host: CliHost,
  options: WatchOptions,
  look: (connection: Connection, linesMax: number) => Promise<string>,
): Promise<void> {
  return run(host, options, async (connection) => {
    if (options.watch !== true) return await look(connection, Number.POSITIVE_INFINITY);
    const everyMs = intervalOf(options.interval ?? '2s');
    const looks = looksOf(options.looks);
    for (let n = 1; ; n++) {
      const { rows } = host;
      const linesMax = rows === undefined ? Number.POSITIVE_INFINITY : rows - LINES_AROUND;
      const said = await lookOrSay(() => look(connection, linesMax));
      const text = options.json === true ? said : onScreen(host, said);
      if (n >= looks) return text;
      host.print(text);
      await host.pause(everyMs);
    }
  });
}

async function lookOrSay(look: () => Promise<string>): Promise<string> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof CliFailure && error.mayPass)) throw error;
    return `${error.message}\n`;
  }
}

function onScreen({ rows, nowMs }: CliHost, text: string): string {
  const at = new Date(nowMs()).toISOString().slice(11, 19);
  const lines = `${at} UTC\n${text}`.split('\n');
  if (rows === undefined) return `${lines.join('\n')}\n`;
  return `${HOME}${lines
    .slice(0, rows - 1)
    .map((line) => `${line}${REST_OF_LINE}\n`)
    .join('')}${REST_OF_SCREEN}`;
}

function intervalOf(text: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok)
    throw new CliFailure(EXIT.usage, `--interval ${JSON.stringify(text)} ${parsed.message}`, `It is ${DURATION_FORM}`);
  if (parsed.ms >= INTERVAL_MS_MIN && parsed.ms <= INTERVAL_MS_MAX) return parsed.ms;
  const [min, max] = [humanizeDuration(INTERVAL_MS_MIN), humanizeDuration(INTERVAL_MS_MAX)];
  throw new CliFailure(EXIT.usage, `--interval is ${min} to ${max}`);
}

function looksOf(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new CliFailure(EXIT.usage, `--looks is a number from 1 on, not ${JSON.stringify(text)}`);
}
