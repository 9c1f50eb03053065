import { beforeEach, describe, expect, test } from '@jest/globals';
import type { AccessRow } from '../../src/access/access-table.ts';
import { encodeMetaCommand, type MetaCommand } from '../../src/meta-commands.ts';
import { MetaMachine } from '../../src/meta-machine.ts';
import type { MetaReply } from '../../src/meta-reply.ts';
import { LONE_FOUNDER } from '../../src/node-info.ts';
import { Topology, type TopologyImageInfo } from '../../src/topology.ts';

/** Users, rules and bans: in the machine, in its rows, and in the image that every node follows. */
let machine: MetaMachine;
let rows: Map<string, { key: Uint8Array; value: Uint8Array }>;
let topology: Topology;
let index = 0;

const user = (key: string, isSuperuser = false): AccessRow => ({
  table: 'user',
  key,
  value: { hash: `hash of ${key}`, isSuperuser },
});
const ban = (key: string, untilMs: number): AccessRow => ({
  table: 'ban',
  key,
  value: { by: '', reason: '', atMs: 0, untilMs },
});
const put = (row: AccessRow, expect: 'new' | 'existing' | 'any' = 'any', rowsMax = 100): MetaCommand => ({
  kind: 'put-access',
  row,
  expect,
  rowsMax,
});

function imageOf({
  epoch,
  clusterId,
  partitionCount,
  replicationFactor,
  config,
  access,
}: MetaMachine): TopologyImageInfo {
  const image = { epoch, clusterId, partitionCount, replicationFactor, config, nodes: [], partitions: [], queues: [] };
  return { ...image, access: [...access.rows()] };
}

/** As every node sees it: by what the reply says has changed. */
function apply(command: MetaCommand, stampMs = 1_000): MetaReply {
  const reply = machine.apply(++index, encodeMetaCommand(command, stampMs));
  machine.flush({
    put: (key, value) => void rows.set(Buffer.from(key).toString('hex'), { key, value }),
    delete: (key) => void rows.delete(Buffer.from(key).toString('hex')),
  });
  if (reply.result === 'done') {
    const { epoch, access } = reply;
    const nothing = { changed: [], removed: [], nodes: [], removedNodes: [], partitions: [], config: undefined };
    topology.applyDelta({ epoch, ...nothing, access });
  }
  return reply;
}

beforeEach(() => {
  machine = new MetaMachine();
  rows = new Map();
  topology = new Topology();
  index = 0;
  const form = { partitionCount: 1, replicationFactor: 1, queueCountMax: 10, founders: [LONE_FOUNDER] };
  machine.apply(++index, encodeMetaCommand({ kind: 'form-cluster', clusterId: 'c', ...form }, 0));
  topology.reset(imageOf(machine));
});

const keysOf = (access: { rows(): Iterable<AccessRow> }): string[] => [...access.rows()].map(({ key }) => key).sort();

describe('a row', () => {
  test('is new or was there, as the command expects', () => {
    expect(apply(put(user('ann'), 'existing')).result).toBe('not-found');
    expect(apply(put(user('ann'), 'new')).result).toBe('done');
    expect(apply(put(user('ann', true), 'new')).result).toBe('already-exists');
    expect(apply(put(user('ann', true), 'existing')).result).toBe('done');
    expect(topology.access.user('ann')).toEqual({ hash: 'hash of ann', isSuperuser: true });
    expect(apply({ kind: 'remove-access', table: 'user', key: 'ann' }).result).toBe('done');
    expect(apply({ kind: 'remove-access', table: 'user', key: 'ann' }).result).toBe('not-found');
    expect(topology.access.user('ann')).toBeUndefined();
  });

  test('beyond what its table may have is refused; one that is there may change', () => {
    apply(put(user('a'), 'new', 2));
    apply(put(user('b'), 'new', 2));
    expect(apply(put(user('c'), 'new', 2)).result).toBe('too-many-rows');
    expect(apply(put(user('a', true), 'any', 2)).result).toBe('done');
  });

  test('may be called what objects have already', () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(topology.access.user(name)).toBeUndefined();
      apply(put(user(name), 'new'));
      expect(topology.access.user(name)?.hash).toBe(`hash of ${name}`);
    }
  });
});

test('bans that are over make room when another comes', () => {
  apply(put(ban('clientid/short', 2_000), 'any', 2), 1_000);
  apply(put(ban('clientid/ever', 0), 'any', 2), 1_000);
  expect(apply(put(ban('clientid/third', 0), 'any', 2), 1_999).result).toBe('too-many-rows');
  expect(apply(put(ban('clientid/third', 0), 'any', 2), 2_000).result).toBe('done');
  expect(keysOf(topology.access)).toEqual(['clientid/ever', 'clientid/third']);
});

test('machine, restored machine and image agree after any changes', () => {
  for (let i = 0; i < 300; i++) {
    const key = String((i * 7) % 13);
    const isRemoval = i % 3 === 0;
    const row = i % 2 === 0 ? user(key) : ban(`clientid/${key}`, (i % 5) * 100);
    apply(isRemoval ? { kind: 'remove-access', table: row.table, key: row.key } : put(row), i);
  }
  const restored = MetaMachine.restore(rows.values());
  expect(keysOf(restored.access)).toEqual(keysOf(machine.access));
  expect(keysOf(topology.access)).toEqual(keysOf(machine.access));
  const fresh = new Topology();
  fresh.reset(imageOf(machine));
  expect([...fresh.access.rows()]).toEqual([...machine.access.rows()]);
  topology.reset({ ...imageOf(machine), access: [] });
  expect([...topology.access.rows()]).toEqual([]);
});
