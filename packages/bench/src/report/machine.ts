import { execFileSync } from 'node:child_process';
import { arch, cpus, loadavg, release, totalmem } from 'node:os';
import type { DataDisk } from '../run/data-disk.ts';
import { digits } from './figures-table.ts';

/** What figures depend on besides the brokers. */
/** `disk`: undefined where nothing was counted by one. */
export function describeMachine(directory: string, disk?: DataDisk): string[] {
  const [first] = cpus();
  const gib = (totalmem() / 1024 ** 3).toFixed(0);
  const load = (loadavg()[0] as number).toFixed(1);
  return [
    `${cpus().length} × ${first?.model.trim() ?? 'unknown processor'}, ${gib} GiB, Linux ${release()} ${arch()}`,
    `data on ${fileSystemOf(directory)}; brokers and load share the machine`,
    `Node.js ${process.versions.node}; ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    ...(disk === undefined
      ? []
      : [
          `disk by the counter of device ${disk.device}; at rest it had ${digits(disk.idleBytesPerS / 1024)} KiB/s, taken off`,
        ]),
    `load average at the end, the run's own included: ${load}`,
  ];
}

function fileSystemOf(directory: string): string {
  try {
    const [, line] = execFileSync('df', ['--output=fstype,source', directory], { encoding: 'utf8' }).trim().split('\n');
    return (line ?? '').trim().replace(/\s+/, ' on ');
  } catch {
    return 'an unknown file system';
  }
}
