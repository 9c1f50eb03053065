import { spawnSync } from 'node:child_process';

/** `PATH` of a plain user lacks where Debian keeps servers. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Where a program is; undefined when it is not installed. */
export function programOf(name: string): string | undefined {
  const found = spawnSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8', env: { ...process.env, PATH } });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

/** What a program says of its version, in one line. */
export function versionOf(program: string, argument: string): string {
  const { stdout, stderr } = spawnSync(program, [argument], { encoding: 'utf8' });
  return /\d+\.\d+(\.\d+)?/.exec(`${stdout}${stderr}`)?.[0] ?? 'of unknown version';
}
