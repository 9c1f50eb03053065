import { describe, expect, test } from '@jest/globals';
import { type Bar, verdictsOf } from '@sluice/bench/report/bars';
import { digits, figuresTable, percent, short, TABLE_COLUMNS } from '@sluice/bench/report/figures-table';
import { resultsOf } from '@sluice/bench/report/peer-results';
import { reportOf } from '@sluice/bench/report/report';
import type { DiskCount, Measurement } from '@sluice/bench/run/measurement';
import type { Peer } from '@sluice/bench/run/peer';
import { isSynced } from '@sluice/bench/run/sync-trace';
import { allWorkloads, quickWorkloads, shortened } from '@sluice/bench/run/workloads';
import fc from 'fast-check';

function peerOf(name: string, missing?: string): Peer {
  return {
    name,
    copies: 3,
    documentedSync: 'yes',
    describe: () => 'a broker of which there is so much to be said that it does not fit into one line of this report',
    missing: () => missing,
    start: () => Promise.reject(new Error('not started here')),
  };
}

function measured(peer: string, round: number, figures: Measurement['figures'], workload = 'task-4x4'): Measurement {
  return {
    peer,
    workload,
    round,
    figures,
    sequences: { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0 },
    notes: [],
  };
}

describe('a table', () => {
  test('lines up, and is Markdown', () => {
    const columns = [
      { title: 'peer', align: 'left' as const },
      { title: 'msg/s', align: 'right' as const },
    ];
    expect(
      figuresTable(columns, [
        ['a', '1,230'],
        ['long-name', '7'],
      ]),
    ).toBe(
      ['| peer      | msg/s |', '|-----------|------:|', '| a         | 1,230 |', '| long-name |     7 |'].join('\n'),
    );
  });
});

test('numbers are as short as they can be and no shorter', () => {
  expect([0, 5e-324, 0.0523, 0.4, 0.9999, 1.234, 45.67, 123.4, 1234.5, 2_470_000, undefined].map(digits)).toEqual([
    '0',
    '0',
    '0.052',
    '0.4',
    '1.00',
    '1.23',
    '45.7',
    '123',
    '1,235',
    '2.47M',
    '',
  ]);
  expect([812, 9_999, 281_634, 1_074_306].map(short)).toEqual(['812', '9,999', '282k', '1.07M']);
  expect([0, 0.305, 2].map(percent)).toEqual(['0', '31', '200']);
});

describe('the report', () => {
  const NAMES = [
    'rate',
    'cpuUs',
    'p50Ms',
    'p99Ms',
    'p999Ms',
    'rssMb',
    'writtenBytes',
    'processBytes',
    'loadShare',
    'startS',
    'idleShare',
    'connectUs',
    'connectionKb',
    'fillRate',
    'fillCpuUs',
    'fullRssMb',
    'drainRate',
    'drainCpuUs',
    'firstCpuUs',
    'secondCpuUs',
    'thirdCpuUs',
    'timesMost',
    'sustainedRate',
    'takenRate',
    'backlogMost',
    'rssBeforeMb',
    'p99BeforeMs',
    'backS',
  ] as const;
  /** No broker here will be faster than ten million a second, nor cost more than ten milliseconds a message. */
  const most = (name: string) => (/rate|bytes|backlog|Ms$/i.test(name) ? 9_999_999 : 9_999);
  const figure = (name: string) =>
    fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: most(name), noNaN: true }));
  const figures = fc.record(Object.fromEntries(NAMES.map((name) => [name, figure(name)])), { requiredKeys: [] });

  test('is never wider than a page, whatever was measured', () => {
    fc.assert(
      fc.property(fc.array(figures, { minLength: 3, maxLength: 3 }), (some) => {
        const measurements = allWorkloads().flatMap(({ name }) =>
          ['sluice-3', 'rabbitmq-3-mqtt', 'nats-3'].map(
            (peer, i): Measurement => ({
              ...measured(peer, 1, some[i] as Measurement['figures'], name),
              sync: { answer: 'memory', by: 'documented' },
              disk: 'processes',
            }),
          ),
        );
        const peers = ['sluice-3', 'rabbitmq-3-mqtt', 'nats-3'].map((name) => peerOf(name));
        const report = reportOf(measurements, allWorkloads(), peers, ['a machine']);
        const wide = report.split('\n').filter((line) => line.length > TABLE_COLUMNS);
        expect(wide).toEqual([]);
      }),
      { seed: 20261120, numRuns: 40, examples: [[[{}, {}, { rssMb: 999.5, rssBeforeMb: 999.5 }]]] },
    );
  });

  test('a bar that was not even reached is missed; one whose other side is not there says nothing', () => {
    const surge = reportOf([measured('sluice-1', 1, { rate: 10 }, 'surge')], allWorkloads(), [peerOf('sluice-1')], []);
    expect(surge).toContain('**missed**  sluice-1: seconds until back none (at most 60.0)');
    const task = reportOf([measured('sluice-1', 1, { rate: 10 })], allWorkloads(), [peerOf('sluice-1')], []);
    expect(task).toContain('sluice-1: rate against rabbitmq-1: not measured');
    expect(task).not.toContain('missed');
  });

  test('says when bytes are not those of the device', () => {
    const report = (disk: DiskCount) => {
      const row: Measurement = { ...measured('redis', 1, { rate: 10, writtenBytes: 281_634 }), disk };
      return reportOf([row], allWorkloads(), [peerOf('redis')], []);
    };
    expect(report('device')).toContain('| 282k |');
    expect(report('processes')).toContain('| 282k* |');
  });

  test('says what is missing, what failed and what was lost', () => {
    const broken: Measurement = { ...measured('nats-3', 1, {}), notes: ['failed: it broke'] };
    const lossy = measured('redis', 1, { rate: 10 });
    (lossy.sequences as { lost: number }).lost = 3;
    const peers = [peerOf('nats-3'), peerOf('redis'), peerOf('mosquitto', 'apt-get install mosquitto')];
    const report = reportOf([broken, lossy], quickWorkloads(), peers, []);
    expect(report).toContain('left out: apt-get install mosquitto');
    expect(report).toContain('- nats-3: failed: it broke');
    expect(report).toContain('- **redis**: lost 3');
  });
});

describe('results and bars', () => {
  const BARS: Bar[] = [
    { workloads: ['task-4x4'], peers: ['sluice-3'], figure: 'cpuUs', of: 'rabbitmq-3', atMost: 0.5 },
    { workloads: ['task-4x4'], peers: ['sluice-3'], figure: 'rate', of: 'rabbitmq-3', atLeast: 2 },
    { workloads: ['task-4x4'], peers: ['sluice-3'], figure: 'rssMb', atMost: 80 },
    { workloads: ['task-4x4'], peers: ['sluice-3'], figure: 'cpuUs', of: 'nats-3', atMost: 0.5 },
  ];
  const judged = (measurements: Measurement[]) => {
    const results = resultsOf(measurements);
    const own = results.find(({ peer }) => peer === 'sluice-3');
    return own === undefined ? [] : verdictsOf(own, results, BARS).map(({ value, isHeld }) => [value, isHeld]);
  };

  test('medians of the rounds, and how far they lie apart', () => {
    const [result] = resultsOf([9, 1, 3].map((cpuUs, i) => measured('redis', i + 1, { cpuUs })));
    expect([result?.median.cpuUs, result?.least.cpuUs, result?.most.cpuUs]).toEqual([3, 1, 9]);
    expect(resultsOf([1, 2].map((cpuUs, i) => measured('redis', i + 1, { cpuUs })))[0]?.median.cpuUs).toBe(1.5);
  });

  test('a bar is a ratio to the peer of the same run, or the figure itself', () => {
    const own = measured('sluice-3', 1, { cpuUs: 20, rate: 50_000, rssMb: 81 });
    const other = measured('rabbitmq-3', 1, { cpuUs: 80, rate: 20_000 });
    expect(judged([own, other])).toEqual([
      [0.25, true],
      [2.5, true],
      [81, false],
      [undefined, false],
    ]);
  });

  test('who loses a message holds no bar', () => {
    const own = measured('sluice-3', 1, { cpuUs: 20, rate: 50_000, rssMb: 70 });
    (own.sequences as { lost: number }).lost = 1;
    const held = judged([own, measured('rabbitmq-3', 1, { cpuUs: 80, rate: 20_000 })]).map(([, isHeld]) => isHeld);
    expect(held).toEqual([false, false, false, false]);
  });
});

test('synced is who synced each message, on a majority of the copies', () => {
  const counts = (...syncs: number[]) => new Map(syncs.map((count, pid) => [pid, count]));
  expect(isSynced(counts(20), 20, 1)).toBe(true);
  expect(isSynced(counts(19), 20, 1)).toBe(false);
  expect(isSynced(counts(25, 20, 0), 20, 3)).toBe(true);
  // As many in sum, on one disk only.
  expect(isSynced(counts(60, 2, 0), 20, 3)).toBe(false);
});

test('every workload can be shortened, and names are unique', () => {
  const names = allWorkloads().map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const workload of allWorkloads()) expect(shortened(workload).name).toBe(workload.name);
  expect(names).toEqual(expect.arrayContaining(quickWorkloads().map(({ name }) => name)));
});
