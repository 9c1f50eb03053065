import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import type { LogFields, Logger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { WatchedFiles } from '../../src/certificates/watched-files.ts';
import type { Access, AccessFiles } from '../../src/config/access-files.ts';
import { loadConfig } from '../../src/config/load-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-access-files-'));
const PASSWORDS = join(folder, 'passwords');
const RULES = join(folder, 'rules.yaml');
const ALLOW = '- { permission: allow, topics: ["#"] }';

let said: [level: string, message: string, fields: LogFields][] = [];
const say =
  (level: string) =>
  (fields: LogFields, message: string): void =>
    void said.push([level, message, fields]);
const logger: Logger = {
  debug: say('debug'),
  info: say('info'),
  warn: say('warn'),
  error: say('error'),
  child: () => logger,
};
const metrics = new PlainMetrics();
const refused = (): number => metrics.gauge('sluice_gateway_access_files_refused', '').value;

let taken: Access[] = [];
let watched: WatchedFiles<Access>;

function files(): AccessFiles {
  const set = [`auth.passwordFile=${PASSWORDS}`, `authorization.rulesFile=${RULES}`];
  const loaded = loadConfig({ flags: { set }, env: {}, readFile: (path) => readFileSync(path, 'utf8') });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config.auth.files;
}

const usersTaken = (): string[][] => taken.map(({ users }) => users.map(({ username }) => username));

beforeEach(async () => {
  said = [];
  taken = [];
  writeFileSync(PASSWORDS, 'ann:1\n');
  writeFileSync(RULES, ALLOW);
  watched = new WatchedFiles(files(), {
    logger,
    refused: metrics.gauge('sluice_gateway_access_files_refused', ''),
    subject: 'users and rules',
    count: ({ users, rules }) => ({ users: users.length, rules: rules.length }),
  });
  watched.watch((access) => taken.push(access));
  watched.close();
  await watched.look({ isWritten: true });
  expect(usersTaken()).toEqual([['ann']]);
  taken = [];
});
afterAll(() => rmSync(folder, { recursive: true }));

test('what changed is taken when a second look finds the same, once', async () => {
  writeFileSync(PASSWORDS, 'ann:1\nbob:2\n');
  await watched.look();
  expect(taken).toEqual([]);
  writeFileSync(PASSWORDS, 'ann:1\nbob:2\ncid:3\n');
  await watched.look();
  expect(taken).toEqual([]);
  await watched.look();
  await watched.look();
  expect(usersTaken()).toEqual([['ann', 'bob', 'cid']]);
  expect(said.at(-1)).toEqual(['info', 'users and rules were read again', { users: 3, rules: 1 }]);
});

test('a signal says that it is written', async () => {
  writeFileSync(join(folder, 'new'), 'bob:2\n');
  renameSync(join(folder, 'new'), PASSWORDS);
  await watched.look({ isWritten: true });
  expect(usersTaken()).toEqual([['bob']]);
});

test.each<[string, () => void, RegExp]>([
  ['a rule that is none', () => writeFileSync(RULES, `${ALLOW}\n- allow`), /rule 2 must be a map/],
  ['no users', () => writeFileSync(PASSWORDS, '# none\n'), /without a single user/],
  ['no file', () => rmSync(PASSWORDS), /does not exist/],
  ['a line that is none', () => writeFileSync(PASSWORDS, 'ann:1\nhunter2\n'), /line 2 has no colon/],
])(
  'with %s everything stays, is told once without what stands there, and counts until it is mended',
  async (_, harm, problem) => {
    harm();
    await watched.look({ isWritten: true });
    await watched.look();
    await watched.look();
    expect([taken, refused()]).toEqual([[], 1]);
    const errors = said.filter(([level]) => level === 'error');
    expect(errors).toHaveLength(1);
    expect(JSON.stringify(errors)).toMatch(problem);
    expect(JSON.stringify(errors)).not.toContain('hunter2');
    writeFileSync(RULES, ALLOW);
    writeFileSync(PASSWORDS, 'ann:1\ndan:4\n');
    await watched.look({ isWritten: true });
    expect([usersTaken(), refused()]).toEqual([[['ann', 'dan']], 0]);
  },
);
