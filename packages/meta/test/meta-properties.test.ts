import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AccessRow } from '../src/access/access-table.ts';
import { encodeMetaCommand, type MetaCommand } from '../src/meta-commands.ts';
import { MetaMachine } from '../src/meta-machine.ts';
import type { NodeInfo, NodeRegistration } from '../src/node-info.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';
import { Rows } from './support/rows.ts';

/** Small, so that commands meet what is there. */
const id = fc.integer({ min: 0, max: 5 });
const name = fc.constantFrom('a', 'b', 'c');
const nodes = fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 3 });

const registration: fc.Arbitrary<NodeRegistration> = fc.record({
  incarnation: fc.constantFrom('', 'disk 1', 'disk 2', 'disk 3', 'disk 4'),
  name: fc.constantFrom('', 'n1', 'n2', 'n3'),
  address: fc.constantFrom('n:1', 'n:2'),
  roles: fc.constantFrom(['store' as const], ['gateway' as const, 'store' as const]),
  rack: fc.constant(''),
  version: fc.constant('1'),
  mqttAddress: fc.constant(''),
});

const queue = fc
  .record({ name, partitionCount: fc.integer({ min: 1, max: 4 }), objective: fc.constantFrom(undefined, 1_000) })
  .map(({ name, partitionCount, objective }) => ({
    ...QUEUE_SETTING_DEFAULTS,
    name,
    topicFilter: `${name}/#`,
    isLastValue: false,
    keyExpression: null,
    partitionCount,
    ...(objective === undefined ? {} : { lagObjectiveMs: objective }),
  }));

const accessRow: fc.Arbitrary<AccessRow> = fc.oneof(
  name.map((key): AccessRow => ({ table: 'user', key, value: { hash: 'h', isSuperuser: false } })),
  name.map((key): AccessRow => ({ table: 'rules', key, value: { rules: [] } })),
  fc.record({ key: name, untilMs: fc.constantFrom(0, 5, 50) }).map(({ key, untilMs }): AccessRow => {
    return { table: 'ban', key, value: { by: 'x', reason: '', atMs: 0, untilMs } };
  }),
);

const founder: NodeInfo = {
  incarnation: 'disk 1',
  name: 'n1',
  address: 'n:1',
  roles: ['store'],
  rack: '',
  version: '1',
  mqttAddress: '',
  nodeId: 1,
  state: 'active',
};

const command: fc.Arbitrary<MetaCommand> = fc.oneof(
  queue.map((queue): MetaCommand => ({ kind: 'define-queue', queue })),
  fc.record({ kind: fc.constant('update-queue' as const), queueId: id, expectedVersion: fc.nat({ max: 30 }), queue }),
  fc.record({ kind: fc.constant('remove-queue' as const), queueId: id }),
  fc.integer({ min: 1, max: 4 }).map(
    (queueCountMax): MetaCommand => ({
      kind: 'set-config',
      config: { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, queueCountMax },
    }),
  ),
  fc.record({ kind: fc.constant('register-node' as const), node: registration, nodeId: id }),
  fc.record({
    kind: fc.constant('set-node-state' as const),
    nodeId: id,
    state: fc.constantFrom('active' as const, 'draining' as const, 'leaving' as const, 'gone' as const),
  }),
  fc.record({
    kind: fc.constant('place-partitions' as const),
    placements: fc.array(
      fc.record({
        partition: fc.integer({ min: 1, max: 4 }),
        replicas: nodes,
        preferredLeader: id,
        bootstrap: fc.boolean(),
      }),
      { maxLength: 2 },
    ),
    expectedEpoch: fc.nat({ max: 30 }),
  }),
  fc.record({ kind: fc.constant('partition-formed' as const), partition: id }),
  fc.record({ kind: fc.constant('set-replication-factor' as const), replicationFactor: fc.nat({ max: 3 }) }),
  fc.record({
    kind: fc.constant('put-access' as const),
    row: accessRow,
    expect: fc.constantFrom('new' as const, 'existing' as const, 'any' as const),
    rowsMax: fc.integer({ min: 1, max: 3 }),
  }),
  accessRow.map(({ table, key }): MetaCommand => ({ kind: 'remove-access', table, key })),
  fc.record({
    kind: fc.constant('raise-feature-level' as const),
    level: fc.integer({ min: 1, max: 3 }),
    expectedEpoch: fc.nat({ max: 30 }),
  }),
  fc.record({ kind: fc.constant('hold-feature-level' as const), isHeld: fc.boolean() }),
);

const LEVELS = { min: 1, max: 3 };

/** What is removed together has no order. */
function repliedBy(machine: MetaMachine, data: Uint8Array): unknown {
  const reply = machine.apply(1, data);
  const { access } = reply;
  if (access === undefined) return reply;
  return { ...reply, access: { put: access.put, removed: access.removed.map(({ table, key }) => table + key).sort() } };
}

test('a replica that starts again before each command is the one that never did', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ command, passesMs: fc.constantFrom(0, 1, 20) }), { maxLength: 40 }),
      fc.boolean(),
      (steps, isLone) => {
        const steady = new MetaMachine(LEVELS);
        const rows = new Rows();
        const rowsOfOther = new Rows();
        let nowMs = 1;
        const founders = isLone ? [{ ...founder, incarnation: '', name: '' }] : [founder];
        const head = { partitionCount: 4, replicationFactor: 1, queueCountMax: 3, founders };
        const forming: MetaCommand = { kind: 'form-cluster', clusterId: 'c', ...head };
        for (const { command, passesMs } of [{ command: forming, passesMs: 0 }, ...steps]) {
          nowMs += passesMs;
          const data = encodeMetaCommand(command, nowMs);
          const other = MetaMachine.restore(rowsOfOther.sorted(), LEVELS);
          expect(repliedBy(other, data)).toEqual(repliedBy(steady, data));
          steady.flush(rows);
          other.flush(rowsOfOther);
        }
        expect(rowsOfOther.texts()).toEqual(rows.texts());
      },
    ),
    { numRuns: 300 },
  );
});
