import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const SPECIFICATIONS = ['5.0', '3.1.1'] as const;
export type Specification = (typeof SPECIFICATIONS)[number];

export interface Statement {
  specification: Specification;
  /** As it is cited: `MQTT-3.1.0-2`. */
  label: string;
  duty: 'server' | 'client' | 'both';
  /** In our words. */
  text: string;
  /** Why no test of a broker can prove it. */
  cannot: string | undefined;
  /** What it still needs. */
  open: string | undefined;
}

const FOLDER = join(import.meta.dirname, '..');

/** The statements of one specification, as mqtt-5.0.txt or mqtt-3.1.1.txt has them. */
export function readStatements(specification: Specification): Statement[] {
  const statements: Statement[] = [];
  for (const line of readFileSync(join(FOLDER, `mqtt-${specification}.txt`), 'utf8').split('\n')) {
    if (line.startsWith('#') || line === '') continue;
    const more = /^ {2}(cannot|open) (.+)$/.exec(line);
    const last = statements.at(-1);
    if (more !== null && last !== undefined) {
      last[more[1] as 'cannot' | 'open'] = more[2] as string;
      continue;
    }
    const [, label, duty, text] = /^(\d\S*) (server|client|both) (.+)$/.exec(line) ?? [];
    if (label === undefined) throw new Error(`mqtt-${specification}.txt: cannot read ${line}`);
    statements.push({
      specification,
      label: `MQTT-${label}`,
      duty: duty as Statement['duty'],
      text: text as string,
      cannot: undefined,
      open: undefined,
    });
  }
  return statements;
}
