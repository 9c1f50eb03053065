import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What the kernel says of processes and directories. Linux only: elsewhere there is nothing as exact to ask. */

/** Of the kernel's clock in /proc, on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;

interface ProcessStat {
  pid: number;
  parent: number;
  cpuUs: number;
}

export interface BrokerFigures {
  /** User and system time of all processes, in all their threads, so far. */
  cpuUs: number;
  rssBytes: number;
  /** Bytes they caused to be written to the disk; undefined when the kernel does not tell us. */
  writtenBytes: number | undefined;
}

/** The processes and all they have started. */
export function familyOf(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat === undefined) continue;
    const siblings = children.get(stat.parent);
    if (siblings === undefined) children.set(stat.parent, [stat.pid]);
    else siblings.push(stat.pid);
  }
  const family = [...roots];
  for (let i = 0; i < family.length; i++) family.push(...(children.get(family[i] as number) ?? []));
  return [...new Set(family)];
}

export function figuresOf(pids: readonly number[]): BrokerFigures {
  const figures: BrokerFigures = { cpuUs: 0, rssBytes: 0, writtenBytes: 0 };
  for (const pid of pids) {
    const stat = statOf(pid);
    // One that has just ended took its counters with it.
    if (stat === undefined) continue;
    figures.cpuUs += stat.cpuUs;
    figures.rssBytes += statusBytes(pid, 'VmRSS');
    const written = writtenBytes(pid);
    if (written === undefined || figures.writtenBytes === undefined) figures.writtenBytes = undefined;
    else figures.writtenBytes += written;
  }
  return figures;
}

/** Allocated bytes below directories. */
export function directoryBytes(directories: readonly string[]): number {
  let bytes = 0;
  for (const directory of directories) {
    for (const entry of entriesOf(directory)) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) bytes += directoryBytes([path]);
      else if (entry.isFile()) bytes += blocksOf(path) * 512;
    }
  }
  return bytes;
}

function statOf(pid: number): ProcessStat | undefined {
  const text = readOrNothing(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name is in parentheses and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { pid, parent: Number(fields[1]), cpuUs: (ticks * 1e6) / TICKS_PER_SECOND };
}

function statusBytes(pid: number, field: string): number {
  const match = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readOrNothing(`/proc/${pid}/status`) ?? '');
  return match === null ? 0 : Number(match[1]) * 1024;
}

function writtenBytes(pid: number): number | undefined {
  const match = /^write_bytes: (\d+)/m.exec(readOrNothing(`/proc/${pid}/io`) ?? '');
  return match === null ? undefined : Number(match[1]);
}

function readOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function entriesOf(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}

function blocksOf(path: string): number {
  try {
    return statSync(path).blocks;
  } catch {
    return 0;
  }
}
