import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { decodeMetaCommand, encodeMetaCommand, type MetaCommand } from '../src/meta-commands.ts';
import { LONE_FOUNDER, type NodeRegistration } from '../src/node-info.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';

/**
 * One of each kind. The golden files hold what was written, a command a line: it must be read for ever, and what is
 * still written must be written the same.
 */
const COMMANDS: readonly MetaCommand[] = [
  {
    kind: 'form-cluster',
    clusterId: 'c1',
    partitionCount: 16,
    replicationFactor: 1,
    queueCountMax: 10_000,
    founders: [LONE_FOUNDER],
  },
  {
    kind: 'define-queue',
    queue: {
      ...QUEUE_SETTING_DEFAULTS,
      name: 'jobs',
      topicFilter: 'jobs/#',
      isLastValue: true,
      keyExpression: 'message.from',
      partitionCount: 1,
    },
  },
  {
    kind: 'update-queue',
    queueId: 7,
    expectedVersion: 3,
    queue: {
      ...QUEUE_SETTING_DEFAULTS,
      name: 'jobs',
      topicFilter: 'jobs/#',
      isLastValue: false,
      keyExpression: null,
      partitionCount: 1,
      limits: { countMax: 5, bytesMax: null, overflow: 'drop_oldest' },
    },
  },
  { kind: 'remove-queue', queueId: 7 },
  { kind: 'set-config', config: { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, queueCountMax: 10_000 } },
];

const NODE: NodeRegistration = {
  incarnation: 'b7c1',
  name: 'store-1',
  address: '10.0.0.1:7000',
  roles: ['store', 'coordinator'],
  rack: 'a',
  version: '0.1.0',
  mqttAddress: '',
};

/** Came with clusters of several nodes. */
const CLUSTER_COMMANDS: readonly MetaCommand[] = [
  {
    kind: 'form-cluster',
    clusterId: 'c1',
    partitionCount: 16,
    replicationFactor: 3,
    queueCountMax: 10_000,
    founders: [{ ...NODE, nodeId: 1, state: 'active' }],
  },
  { kind: 'register-node', node: NODE, nodeId: 0 },
  { kind: 'set-node-state', nodeId: 2, state: 'draining' },
  {
    kind: 'place-partitions',
    placements: [{ partition: 1, replicas: [1, 2, 3], preferredLeader: 2, bootstrap: true }],
    expectedEpoch: 9,
  },
  { kind: 'partition-formed', partition: 1 },
  { kind: 'set-replication-factor', replicationFactor: 3 },
];

/** Came with users, rules and bans of the cluster. */
const ACCESS_COMMANDS: readonly MetaCommand[] = [
  {
    kind: 'put-access',
    row: { table: 'user', key: 'ann', value: { hash: '$scrypt$…', scram: '$scram-sha-256$…', isSuperuser: true } },
    expect: 'new',
    rowsMax: 100_000,
  },
  {
    kind: 'put-access',
    row: {
      table: 'rules',
      key: 'username/ann',
      value: { rules: [{ permission: 'allow', action: 'publish', topic: 'a/#', qos: [0, 1], retain: false }] },
    },
    expect: 'any',
    rowsMax: 10_000,
  },
  {
    kind: 'put-access',
    row: { table: 'ban', key: 'clientid/x', value: { by: 'key', reason: 'flood', atMs: 5, untilMs: 0 } },
    expect: 'any',
    rowsMax: 100_000,
  },
  { kind: 'remove-access', table: 'ban', key: 'clientid/x' },
];

/** Came with objectives of queues; a queue without one is written as before. */
const OBJECTIVE_COMMANDS: readonly MetaCommand[] = [30_000, null].map((lagObjectiveMs) => ({
  kind: 'define-queue',
  queue: {
    ...QUEUE_SETTING_DEFAULTS,
    lagObjectiveMs,
    name: 'jobs',
    topicFilter: 'jobs/#',
    isLastValue: false,
    keyExpression: null,
    partitionCount: 1,
  },
}));

/** Came with feature levels. */
const LEVEL_COMMANDS: readonly MetaCommand[] = [
  { kind: 'raise-feature-level', level: 2, expectedEpoch: 9 },
  { kind: 'hold-feature-level', isHeld: true },
  { kind: 'register-node', node: { ...NODE, levels: { min: 1, max: 2 } }, nodeId: 0 },
];

const linesOf = (file: string): string[] =>
  readFileSync(join(import.meta.dirname, 'testdata', file), 'utf8')
    .trimEnd()
    .split('\n');
const golden = linesOf('commands-v1.txt');
const clusterGolden = linesOf('commands-cluster.txt');
const accessGolden = linesOf('commands-access.txt');
const objectiveGolden = linesOf('commands-objective.txt');
const levelGolden = linesOf('commands-level.txt');

const STAMP_MS = 1_700_000_000_123;

describe('the format of metadata entries', () => {
  test.each(COMMANDS.map((command, i) => [command.kind, command, golden[i]] as const))('%s', (kind, command, line) => {
    expect(decodeMetaCommand(Buffer.from(line ?? '', 'hex'))).toEqual({ command, stampMs: STAMP_MS });
    if (kind !== 'form-cluster') {
      expect(Buffer.from(encodeMetaCommand(command, STAMP_MS)).toString('hex')).toBe(line);
    }
  });

  test.each(CLUSTER_COMMANDS.map((command, i) => [command.kind, command, clusterGolden[i]] as const))(
    '%s, with clusters of several nodes',
    (_, command, line) => {
      expect(Buffer.from(encodeMetaCommand(command, STAMP_MS)).toString('hex')).toBe(line);
      expect(decodeMetaCommand(Buffer.from(line ?? '', 'hex'))).toEqual({ command, stampMs: STAMP_MS });
    },
  );

  test.each(OBJECTIVE_COMMANDS.map((command, i) => [command.kind, command, objectiveGolden[i]] as const))(
    '%s, with an objective',
    (_, command, line) => {
      expect(Buffer.from(encodeMetaCommand(command, STAMP_MS)).toString('hex')).toBe(line);
      expect(decodeMetaCommand(Buffer.from(line ?? '', 'hex'))).toEqual({ command, stampMs: STAMP_MS });
    },
  );

  test.each(LEVEL_COMMANDS.map((command, i) => [command.kind, command, levelGolden[i]] as const))(
    '%s, with feature levels',
    (_, command, line) => {
      expect(Buffer.from(encodeMetaCommand(command, STAMP_MS)).toString('hex')).toBe(line);
      expect(decodeMetaCommand(Buffer.from(line ?? '', 'hex'))).toEqual({ command, stampMs: STAMP_MS });
    },
  );

  test.each(ACCESS_COMMANDS.map((command, i) => [command.kind, command, accessGolden[i]] as const))(
    '%s, with users, rules and bans',
    (_, command, line) => {
      expect(Buffer.from(encodeMetaCommand(command, STAMP_MS)).toString('hex')).toBe(line);
      expect(decodeMetaCommand(Buffer.from(line ?? '', 'hex'))).toEqual({ command, stampMs: STAMP_MS });
    },
  );

  test('with a body that is no JSON is an entry that nobody wrote', () => {
    const bytes = new ByteWriter().u8(1).u8(1).u53(STAMP_MS).text('{"name":').finish();
    expect(() => decodeMetaCommand(bytes)).toThrow(expect.objectContaining({ code: 'META_COMMAND_MALFORMED' }));
  });
});
