import { describe, expect, test } from '@jest/globals';
import type { SluiceError } from '@sluice/common/errors';
import { encodeMetaCommand, type MetaCommand, type QueueDraft } from '@sluice/meta/meta-commands';
import { MetaMachine } from '@sluice/meta/meta-machine';
import { LONE_FOUNDER, type NodeRegistration } from '@sluice/meta/node-info';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import type { MetadataRequest } from '../src/contract/metadata.ts';
import { encode } from '../src/wire/codec.ts';
import { CALL_CODECS } from '../src/wire/codecs.ts';
import { packQueueDefinitions } from '../src/wire/queue-definitions.ts';

const { request: codec } = CALL_CODECS.metadata;

const queue: QueueDraft = {
  ...QUEUE_SETTING_DEFAULTS,
  name: 'jobs',
  topicFilter: 'jobs/#',
  isLastValue: true,
  keyExpression: 'message.from',
  lagObjectiveMs: null,
  partitionCount: 2,
};
const node: NodeRegistration = {
  incarnation: 'i',
  name: 'n',
  address: 'n:1',
  roles: ['store', 'coordinator'],
  rack: '',
  version: '1',
  mqttAddress: '',
  levels: { min: 1, max: 3 },
};
const user = { table: 'user', key: 'u', value: { hash: 'h', scram: 's', isSuperuser: false } } as const;
const rule = { permission: 'allow', action: 'all', topic: '#', qos: [0, 1], retain: true } as const;
const ban = { by: 'me', reason: '', atMs: 1, untilMs: 2 };

/** As nodes say them: one of each kind, and of each table. */
const COMMANDS: readonly MetaCommand[] = [
  {
    kind: 'form-cluster',
    clusterId: 'c',
    partitionCount: 4,
    replicationFactor: 1,
    queueCountMax: 10,
    founders: [LONE_FOUNDER],
  },
  { kind: 'define-queue', queue: { ...queue, name: 'other' } },
  { kind: 'update-queue', queueId: 1, expectedVersion: 2, queue },
  { kind: 'remove-queue', queueId: 1 },
  { kind: 'set-config', config: { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, autoCreate: { regular: {}, lastValue: false } } },
  { kind: 'register-node', node, nodeId: 0 },
  { kind: 'set-node-state', nodeId: 1, state: 'draining' },
  {
    kind: 'place-partitions',
    placements: [{ partition: 1, replicas: [1], preferredLeader: 1, bootstrap: true }],
    expectedEpoch: 0,
  },
  { kind: 'partition-formed', partition: 1 },
  { kind: 'set-replication-factor', replicationFactor: 2 },
  { kind: 'put-access', row: user, expect: 'new', rowsMax: 10 },
  {
    kind: 'put-access',
    row: { table: 'rules', key: 'all', value: { rules: [rule] } },
    expect: 'any',
    rowsMax: 10,
  },
  { kind: 'put-access', row: { table: 'ban', key: 'clientid/a', value: ban }, expect: 'any', rowsMax: 10 },
  { kind: 'remove-access', table: 'user', key: 'u' },
  { kind: 'raise-feature-level', level: 2, expectedEpoch: 10 },
  { kind: 'hold-feature-level', isHeld: true },
];

function read(command: unknown): MetaCommand {
  const answer = codec.read(encode(codec, { type: 'execute', command } as MetadataRequest)) as MetadataRequest;
  return (answer as Extract<MetadataRequest, { type: 'execute' }>).command;
}

/** A cluster with a queue, to which the command is done as it is at every coordinator. */
function carryOut(command: MetaCommand): void {
  const machine = new MetaMachine();
  const [formation] = COMMANDS as readonly [MetaCommand];
  if (command.kind !== 'form-cluster') {
    machine.apply(1, encodeMetaCommand(formation, 1));
    machine.apply(2, encodeMetaCommand({ kind: 'define-queue', queue }, 2));
  }
  const { changed } = machine.apply(3, encodeMetaCommand(command, 3));
  if (changed !== undefined) packQueueDefinitions([changed]);
  const rows: { key: Uint8Array; value: Uint8Array }[] = [];
  machine.flush({ put: (key, value) => rows.push({ key, value }), delete: () => {} });
  MetaMachine.restore(rows);
}

/** The value with one of the things in it taken out, or made another. */
function* damaged(value: unknown): Generator<unknown> {
  for (const other of [undefined, null, -1, 0.5, 'x', true, {}, [], [null]]) yield other;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, part] of Object.entries(value)) {
    for (const other of damaged(part)) {
      yield Array.isArray(value) ? value.map((one) => (one === part ? other : one)) : { ...value, [name]: other };
    }
  }
}

describe('a command for the metadata', () => {
  test.each(COMMANDS.map((command) => [command.kind, command] as const))(
    '%s: comes as it was said',
    (_kind, command) => {
      expect(read(command)).toEqual(command);
      carryOut(command);
    },
  );

  test.each(COMMANDS.map((command) => [command.kind, command] as const))(
    '%s: what is let in stops no coordinator, whatever is missing or wrong',
    (kind, command) => {
      let refused = 0;
      for (const wrong of damaged(command)) {
        if (typeof wrong !== 'object' || (wrong as MetaCommand | null)?.kind !== kind) continue;
        let taken: MetaCommand | undefined;
        try {
          taken = read(wrong);
        } catch (cause) {
          expect((cause as SluiceError).code).toBe('WIRE_INVALID');
          refused++;
        }
        if (taken !== undefined) carryOut(taken);
      }
      expect(refused).toBeGreaterThan(0);
    },
  );

  test('of a kind that only a newer build knows is for the coordinator to refuse, with words', () => {
    expect(() => encodeMetaCommand(read({ kind: 'of-tomorrow', what: 1 }), 1)).toThrow(/no command of-tomorrow/);
  });
});
