import { expect, test } from '@jest/globals';
import { encodeMetaCommand, type MetaCommand } from '../src/meta-commands.ts';
import { MetaMachine } from '../src/meta-machine.ts';
import { LONE_FOUNDER } from '../src/node-info.ts';
import { QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';
import { restoredMetadata } from '../src/restored-metadata.ts';

const CLUSTER = { clusterId: 'new', incarnation: 'inc' };

/** A machine and its rows, as an image has them. */
class Rows {
  readonly machine = new MetaMachine();
  readonly #rows = new Map<string, Uint8Array>();
  #index = 0;

  do(command: MetaCommand): void {
    this.machine.apply(++this.#index, encodeMetaCommand(command, 5000));
    this.machine.flush({
      put: (key, value) => this.#rows.set(Buffer.from(key).toString('latin1'), value),
      delete: (key) => this.#rows.delete(Buffer.from(key).toString('latin1')),
    });
  }

  all(): { key: Uint8Array; value: Uint8Array }[] {
    const rows = [...this.#rows].map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value }));
    return rows.sort((a, b) => Buffer.compare(a.key, b.key));
  }
}

const queue = (name: string): MetaCommand => ({
  kind: 'define-queue',
  queue: {
    ...QUEUE_SETTING_DEFAULTS,
    name,
    topicFilter: `${name}/#`,
    isLastValue: false,
    keyExpression: null,
    partitionCount: 2,
  },
});

function cluster(): Rows {
  const rows = new Rows();
  const founders = [1, 2, 3].map((nodeId) => ({
    ...LONE_FOUNDER,
    nodeId,
    incarnation: `i${nodeId}`,
    name: `n${nodeId}`,
  }));
  const form = { clusterId: 'old', partitionCount: 4, replicationFactor: 3, queueCountMax: 100, founders };
  rows.do({ kind: 'form-cluster', ...form });
  rows.do(queue('a'));
  rows.do(queue('b'));
  rows.do({ kind: 'remove-queue', queueId: 1 });
  return rows;
}

test('definitions stay what they were, under one new node of a new cluster', () => {
  const rows = cluster();
  const before = rows.machine;
  const restored = restoredMetadata(rows.all(), CLUSTER);
  if (restored === undefined) throw new Error('nothing was restored');
  const machine = MetaMachine.restore(restored.rows);
  expect([...machine.queues()]).toEqual([...before.queues()]);
  expect([machine.clusterId, machine.replicationFactor, machine.partitionCount]).toEqual(['new', 3, 4]);
  expect(machine.epoch).toBe(before.epoch + 1);
  // Sessions in the partitions name gateways by their ids: none of those may seem to live.
  expect([restored.nodeId, machine.nodes().map(({ nodeId }) => nodeId)]).toEqual([4, [4]]);
  for (const place of machine.partitions()) {
    expect(place).toMatchObject({ replicas: [4], preferredLeader: 4, bootstrap: false });
  }
  const keys = restored.rows.map(({ key }) => key);
  expect(keys).toEqual([...keys].sort((a, b) => Buffer.compare(a, b)));
});

test('ids of queues and nodes that were given are never given again', () => {
  const restored = restoredMetadata(cluster().all(), CLUSTER);
  const machine = MetaMachine.restore(restored?.rows ?? []);
  const defined = machine.apply(1, encodeMetaCommand(queue('c'), 6000));
  expect(defined.changed?.queueId).toBe(3);
  const node = { ...LONE_FOUNDER, incarnation: 'other', name: 'other' };
  const registered = machine.apply(2, encodeMetaCommand({ kind: 'register-node', node, nodeId: 0 }, 6000));
  expect(registered.nodeId).toBe(5);
});

test('what is no formed cluster is not restored', () => {
  expect(restoredMetadata([], CLUSTER)).toBeUndefined();
});
