import type { LogFields, Logger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { type Entry, EntryKind } from '@sluice/raft/entry';
import { type EntryLogOptions, openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import type { EntryLog, LogWrite } from '@sluice/storage/entry-log-contract';

/** Remembers warnings and errors. */
class RecordingLogger implements Logger {
  readonly lines: { level: string; fields: LogFields; message: string }[] = [];
  debug(): void {}
  info(): void {}
  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }
  child(): Logger {
    return this;
  }
  has(part: string): boolean {
    return this.lines.some(({ message }) => message.includes(part));
  }
}

export interface TestLog {
  log: EntryLog;
  logger: RecordingLogger;
  metrics: PlainMetrics;
}

export async function openTestLog(directory: string, options: Partial<EntryLogOptions> = {}): Promise<TestLog> {
  const logger = new RecordingLogger();
  const metrics = new PlainMetrics();
  const log = await openEntryLog({ directory, logger, metrics, ...options });
  return { log, logger, metrics };
}

export function entry(index: number, term: number, text: string): Entry {
  return { index, term, kind: EntryKind.NORMAL, data: Buffer.from(text) };
}

export function write(groupId: number, entries: readonly Entry[], hardState?: LogWrite['hardState']): LogWrite {
  return { groupId, entries, hardState };
}

export async function readTexts(log: EntryLog, groupId: number, first: number, last: number): Promise<string[]> {
  const texts: string[] = [];
  for (let index = first; index <= last; ) {
    const entries = await log.read(groupId, index, last, 1 << 20);
    for (const { data } of entries) texts.push(Buffer.from(data).toString());
    index += entries.length;
  }
  return texts;
}

/** The code of the SluiceError that `run` fails with. */
export async function codeOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'no error';
}
