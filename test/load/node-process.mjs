import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Of the kernel's clock in /proc, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** What the kernel says of a process, and its disk. Linux only. */

export async function rssBytes(pid) {
  return await statusBytes(pid, 'VmRSS');
}

export async function rssPeakBytes(pid) {
  return await statusBytes(pid, 'VmHWM');
}

async function statusBytes(pid, field) {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)[1]) * 1024;
}

/** User and system time of all its threads so far. */
export async function cpuMs(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Bytes it caused to be written to the disk, bytes it handed to write calls (sockets too), and how many calls. */
export async function written(pid) {
  const text = await readFile(`/proc/${pid}/io`, 'latin1');
  const field = (name) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)[1]);
  return { disk: field('write_bytes'), calls: field('wchar'), writes: field('syscw') };
}

/** Allocated blocks below a data directory, by its folders. */
export async function diskBytes(data) {
  const bytes = { log: 0, state: 0, images: 0, total: 0 };
  for (const folder of ['log', 'state', 'images']) {
    for (const name of await readdir(join(data, folder)).catch(() => [])) {
      const file = await stat(join(data, folder, name)).catch(() => undefined);
      bytes[folder] += (file?.blocks ?? 0) * 512;
    }
    bytes.total += bytes[folder];
  }
  return bytes;
}
