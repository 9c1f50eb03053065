import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** What goes before a node's command: it must not outlive the test that started it, however that ends. */
export const DIES_WITH_US: readonly string[] =
  spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? ['setpriv', '--pdeathsig', 'KILL'] : [];

/** What a failure prints of a node's log. */
const LOG_CHARACTERS_MAX = 4_000;

export function endOfLog(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').slice(-LOG_CHARACTERS_MAX) : '(no log)';
}
