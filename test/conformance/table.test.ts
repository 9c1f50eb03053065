import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { citationsOf, readCitations, readMentions } from './support/citations.ts';
import { readStatements, SPECIFICATIONS, type Specification } from './support/statements.ts';
import { standingOf, tableOf } from './support/table.ts';

/** How many statements each section has, taken from the documents and not from our lists. */
const SECTIONS: Record<Specification, string> = {
  '5.0':
    '1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:5 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 3.3.1:13 3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2 4.2:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4',
  '3.1.1':
    '1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:23 3.1.2.7:1 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 3.3.5:2 3.6.1:1 3.8.1:1 3.8.3:3 3-8.3:1 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 7.1.2:1',
};

const statements = SPECIFICATIONS.flatMap(readStatements);
const citations = readCitations();

describe('the conformance table', () => {
  test.each(SPECIFICATIONS)('MQTT %s: every numbered statement is there, once', (specification) => {
    const own = statements.filter((statement) => statement.specification === specification);
    expect(new Set(own.map(({ label }) => label)).size).toBe(own.length);
    const sections = new Map<string, number>();
    for (const { label } of own) {
      const section = /^MQTT-(3\.1\.2\.7|.*(?=-\d+$))/.exec(label)?.[1] as string;
      sections.set(section, (sections.get(section) ?? 0) + 1);
    }
    const counted = [...sections].map(([section, count]) => `${section}:${count}`).sort();
    expect(counted).toEqual(SECTIONS[specification].split(' ').sort());
  });

  test('each is proved by a test, or says why it cannot be, or what it waits for', () => {
    const missing = statements.filter((statement) => standingOf(statement, citations) === 'missing');
    expect(missing.map(({ specification, label, text }) => `${specification} [${label}] ${text}`)).toEqual([]);
    const twice = statements.filter(({ cannot, open }) => cannot !== undefined && open !== undefined);
    expect(twice).toEqual([]);
  });

  test('what says that it cannot be proved is not proved', () => {
    const proved = statements.filter((one) => one.cannot !== undefined && standingOf(one, citations) === 'proved');
    expect(proved.map(({ specification, label }) => `${specification} [${label}]`)).toEqual([]);
  });

  test('tests cite statements that exist', () => {
    const known = new Set(statements.map(({ specification, label }) => `${specification} ${label}`));
    const unknown = citations.filter(({ specification, label }) => !known.has(`${specification} ${label}`));
    expect(unknown).toEqual([]);
    expect(citations.length).toBeGreaterThan(statements.length);
  });

  test('sources name statements that exist', () => {
    const known = new Set(statements.map(({ label }) => label));
    const mentions = readMentions();
    expect(mentions.filter((mention) => !known.has(mention.split(' ')[1] as string))).toEqual([]);
    expect(mentions.length).toBeGreaterThan(50);
  });

  test('nothing is open', () => {
    expect(statements.filter(({ open }) => open !== undefined)).toEqual([]);
  });

  test('README.md is up to date', () => {
    expect(readFileSync(join(import.meta.dirname, 'README.md'), 'utf8')).toBe(tableOf(statements, citations));
  });
});

test('citations are read out of a name', () => {
  const name = 'a second CONNECT, MQTT %s (5.0: [MQTT-3.1.0-2] [MQTT-4.13.1-1]; 3.1.1: [MQTT-3.1.0-2]): closed';
  const test = 'a second CONNECT, MQTT %s: closed';
  expect(citationsOf(name, 'file')).toEqual([
    { specification: '5.0', label: 'MQTT-3.1.0-2', file: 'file', test },
    { specification: '5.0', label: 'MQTT-4.13.1-1', file: 'file', test },
    { specification: '3.1.1', label: 'MQTT-3.1.0-2', file: 'file', test },
  ]);
});
