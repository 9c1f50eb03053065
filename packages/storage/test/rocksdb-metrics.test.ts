import { afterAll, expect, test } from '@jest/globals';
import { PlainMetrics } from '@sluice/common/metrics';
import { openRocksDbEngine } from '../src/rocksdb/rocksdb-engine.ts';
import { collectRocksDbMetrics } from '../src/rocksdb/rocksdb-metrics.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

class Collected extends PlainMetrics {
  readonly families = new Map<string, () => unknown[]>();
  override collect(name?: string, _help?: string, _type?: string, read?: () => Iterable<unknown>): void {
    this.families.set(name as string, () => [...(read as () => Iterable<unknown>)()]);
  }
}

const STALLED = 'sluice_rocksdb_write_stall_seconds_total';

test('the time of stalls is read from the text that has it, and is not there while the database is closed', () => {
  const metrics = new Collected();
  let text: string | undefined =
    '\n** DB Stats **\nCumulative stall: 102:03:4.567 H:M:S, 0.1 percent\nInterval stall: 00:00:9.000 H:M:S';
  collectRocksDbMetrics(metrics, (name) => (name === 'rocksdb.dbstats' ? text : undefined));
  expect(metrics.families.get(STALLED)?.()).toEqual([[{}, 102 * 3_600 + 3 * 60 + 4.567]]);
  text = undefined;
  expect(metrics.families.get(STALLED)?.()).toEqual([]);
});

test('the database says all of it', async () => {
  const metrics = new Collected();
  const engine = await openRocksDbEngine(await temporaryDirectory(), metrics);
  await engine.write([{ key: Buffer.from('a'), value: Buffer.from('b') }], { sync: true });
  const silent = [...metrics.families].filter(([, read]) => read().length !== 1).map(([name]) => name);
  expect([metrics.families.size > 5, silent]).toEqual([true, []]);
  expect(metrics.families.get(STALLED)?.()).toEqual([[{}, 0]]);
  await engine.close();
});
