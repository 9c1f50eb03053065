import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { configReference } from '../../src/config/config-reference.ts';
import { SETTINGS } from '../../src/config/settings.ts';

test('the page of settings is the one in docs: sluice config --reference > docs/configuration.md', () => {
  expect(readFileSync(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8')).toBe(configReference());
});

test('has a row for every setting, with its default and what is allowed', () => {
  const page = configReference();
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  expect(rows.map((row) => /^\| `([^`]+)`/.exec(row)?.[1])).toEqual(SETTINGS.map(({ key }) => key));
  for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(4);
  expect(page).toContain('| `cluster.replicationFactor`<br>`SLUICE_CLUSTER__REPLICATION_FACTOR` | `3` |');
  expect(page).toMatch(/`log\.level`.*One of `debug`, `info`, `warn`, `error`\./);
  expect(page).toMatch(/`node\.drainTimeout`.*0ms to 1h\./);
});
