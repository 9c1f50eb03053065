import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { allHops, hopsNamed } from '@sluice/bench/hops/all-hops';
import { IMAGE_BYTES } from '@sluice/bench/hops/hop';
import { type HopFigures, measureHop } from '@sluice/bench/hops/measure-hop';
import { hopsReport, runHops } from '@sluice/bench/hops/run-hops';
import { TABLE_COLUMNS } from '@sluice/bench/report/figures-table';

const MEASURE_MS = 15;

let directory: string;
let figures: Map<string, HopFigures>;
const of = (name: string) => figures.get(name) as HopFigures;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-hops-test-'));
  const all = await runHops({ hops: allHops(), directory, measureMs: MEASURE_MS, say: () => {} });
  figures = new Map(all.map((each) => [each.name, each]));
}, 120_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('every hop', () => {
  test('has a name of its own, and a limit that is one', () => {
    const names = allHops().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { limit } of allHops()) if (limit !== undefined) expect(names).toContain(limit);
  });

  test('was measured, in an order that makes sense', () => {
    for (const { name } of allHops()) {
      const { ns, nsLeast, nsMost, bytes } = of(name);
      expect({ name, isCost: ns > 0 && Number.isFinite(ns) }).toEqual({ name, isCost: true });
      expect({ name, isBetween: nsLeast <= ns && ns <= nsMost }).toEqual({ name, isBetween: true });
      expect({ name, isAllocated: bytes >= 0 && Number.isFinite(bytes) }).toEqual({ name, isAllocated: true });
    }
  });

  test('leaves nothing behind', async () => {
    expect(await readdir(directory)).toEqual([]);
  });

  test('stands in a table no wider than a page', () => {
    const report = hopsReport(allHops(), [...figures.values()], ['a machine']);
    expect(report.split('\n').filter((line) => line.length > TABLE_COLUMNS)).toEqual([]);
    for (const { name } of allHops()) expect(report).toContain(`| ${name} `);
  });
});

describe('what is counted is what happens', () => {
  test('a thousand times the bytes cost more to copy and to sum', () => {
    expect(of('best-copy-256k').ns).toBeGreaterThan(of('best-copy-256').ns);
    expect(of('checksum-256k').ns).toBeGreaterThan(of('checksum-256').ns);
  });

  test('a sync for one message costs more than its share of a sync for a thousand', () => {
    expect(of('best-sync-1').ns).toBeGreaterThan(of('best-sync-1024').ns);
    expect(of('log-append-1').ns).toBeGreaterThan(of('log-append-1024').ns);
  });

  test('an image is gathered when it is decoded, copied when it is recorded, and passed on when it is encoded', () => {
    expect(of('codec-decode-256k').bytes).toBeGreaterThan(0.9 * IMAGE_BYTES);
    expect(of('record-encode-256k').bytes).toBeGreaterThan(0.9 * IMAGE_BYTES);
    expect(of('codec-encode-256k').bytes).toBeLessThan(0.1 * IMAGE_BYTES);
  });

  test('what allocates a known array for each message shows its size', async () => {
    const kept: unknown[] = [];
    const prepare = () => ({
      messages: 1,
      round() {
        kept[kept.length % 2] = new Uint8Array(10_000);
      },
    });
    const { bytes } = await measureHop({ name: 'known', what: '', prepare }, directory, 1);
    expect(bytes).toBeGreaterThan(9_900);
    expect(bytes).toBeLessThan(12_000);
  });
});

describe('some of them', () => {
  test('are named by themselves or by the beginning, and bring what they are compared with', () => {
    expect(hopsNamed(['topic']).map(({ name }) => name)).toEqual([
      'topic-match-1',
      'topic-match-1000',
      'topic-match-100000',
      'topic-match-cached',
    ]);
    expect(hopsNamed(['codec-decode-256']).map(({ name }) => name)).toEqual(['best-copy-256', 'codec-decode-256']);
    expect(hopsNamed([]).length).toBe(allHops().length);
    expect(hopsNamed(['nothing'])).toEqual([]);
  });
});
