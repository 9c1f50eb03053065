import { expect, test } from '@jest/globals';
import { PlainMetrics } from '@sluice/common/metrics';
import { RaftGauges } from '../src/raft-gauges.ts';
import type { RaftHost } from '../src/raft-host.ts';

/** What was registered, to be read when somebody asks. */
class Gauges extends PlainMetrics {
  readonly read = new Map<string, () => unknown>();
  override collect(
    name?: string,
    _help?: string,
    _kind?: string,
    read?: () => Iterable<readonly [object, number]>,
  ): void {
    if (name !== undefined && read !== undefined) this.read.set(name, () => [...read()][0]?.[1]);
  }
}

test('a disk that failed and one that hangs are told apart, for alerts', () => {
  const gauges = new Gauges();
  let trouble: RaftHost['diskTrouble'];
  new RaftGauges(gauges, new Map(), () => trouble);
  const now = () => ['sluice_raft_fenced', 'sluice_storage_hanging'].map((name) => gauges.read.get(name)?.());
  expect(now()).toEqual([0, 0]);
  trouble = 'disk-hangs';
  expect(now()).toEqual([0, 1]);
  trouble = 'disk-failed';
  expect(now()).toEqual([1, 0]);
  trouble = 'disk-full';
  expect(now()).toEqual([0, 0]);
});
