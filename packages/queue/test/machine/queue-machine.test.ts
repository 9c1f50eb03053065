import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { MachineScript } from './machine-script.ts';

const directory = new URL('../testdata/machine/', import.meta.url);
/** Set to write what the machine does now into the scripts; the difference is then read by a human. */
const rewrite = process.env.SLUICE_REWRITE_SCRIPTS === '1';

describe('scripts', () => {
  for (const file of readdirSync(directory).sort()) {
    test(file, () => {
      const script = new MachineScript();
      const written = readFileSync(new URL(file, directory), 'utf8');
      const seen = written
        .trimEnd()
        .split('\n\n')
        .map((block) => {
          const said = block.split('\n----')[0] as string;
          const command = said.split('\n').find((line) => !line.startsWith('#'));
          return command === undefined ? block : `${said}\n----\n${script.run(command).join('\n')}`;
        })
        .join('\n\n');
      if (rewrite) writeFileSync(new URL(file, directory), `${seen}\n`);
      expect(`${seen}\n`).toBe(rewrite ? `${seen}\n` : written);
    });
  }
});
