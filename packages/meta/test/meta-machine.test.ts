import { describe, expect, test } from '@jest/globals';
import { encodeMetaCommand, type MetaCommand, type QueueDraft } from '../src/meta-commands.ts';
import { MetaMachine } from '../src/meta-machine.ts';
import type { MetaReply } from '../src/meta-reply.ts';
import { HEAD_KEY, keyOfAccess, keyOfNode, keyOfPartition, keyOfQueue } from '../src/meta-rows.ts';
import type { NodeInfo, NodeRegistration } from '../src/node-info.ts';
import { NodeTable, successorOf } from '../src/node-table.ts';
import type { PartitionInfo } from '../src/partition-info.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';
import { Rows } from './support/rows.ts';

function draft(name: string, change: Partial<QueueDraft> = {}): QueueDraft {
  return {
    ...QUEUE_SETTING_DEFAULTS,
    name,
    topicFilter: `${name}/#`,
    isLastValue: false,
    keyExpression: null,
    partitionCount: 1,
    ...change,
  };
}

const LEVELS = { min: 1, max: 9 };

class Fixture {
  machine = new MetaMachine(LEVELS);
  readonly rows = new Rows();
  #index = 0;
  apply(command: MetaCommand, stampMs = 1000): MetaReply {
    const reply = this.machine.apply(++this.#index, encodeMetaCommand(command, stampMs));
    this.machine.flush(this.rows);
    return reply;
  }
  restart(): void {
    this.machine = MetaMachine.restore(this.rows.map.values(), LEVELS);
  }
}

function registration(name: string, incarnation = `${name}-disk`): NodeRegistration {
  return {
    incarnation,
    name,
    address: `${name}:1`,
    roles: ['store', 'coordinator'],
    rack: '',
    version: '1',
    mqttAddress: '',
  };
}

const founder = (nodeId: number): NodeInfo => ({ ...registration(`n${nodeId}`), nodeId, state: 'active' });

function forming(clusterId: string, founders: readonly NodeInfo[]): MetaCommand {
  return { kind: 'form-cluster', clusterId, partitionCount: 4, replicationFactor: 3, queueCountMax: 7, founders };
}

function formed(): Fixture {
  const fixture = new Fixture();
  expect(fixture.apply(forming('c1', [1, 2, 3].map(founder))).result).toBe('formed');
  return fixture;
}

/** Everything a node would see of the machine. */
function imageOf(machine: MetaMachine): unknown {
  const { epoch, layoutEpoch, clusterId, partitionCount, replicationFactor, config } = machine;
  return {
    head: { epoch, layoutEpoch, clusterId, partitionCount, replicationFactor, config },
    queues: [...machine.queues()],
    nodes: machine.nodes(),
    partitions: machine.partitions(),
  };
}

describe('the metadata machine', () => {
  test('forms a cluster once', () => {
    const fixture = formed();
    expect(fixture.apply(forming('c2', [])).result).toBe('already-formed');
    expect(fixture.machine.clusterId).toBe('c1');
    expect(fixture.machine.partitionCount).toBe(4);
    expect(fixture.machine.config.queueCountMax).toBe(7);
  });

  test('a replica that started again knows the time of a command that changed nothing', () => {
    const [stays, restarts] = [formed(), formed()];
    for (const fixture of [stays, restarts]) {
      expect(fixture.apply({ kind: 'remove-queue', queueId: 99 }, 5_000).result).toBe('not-found');
    }
    restarts.restart();
    // The clock of the next leader is behind.
    for (const fixture of [stays, restarts]) {
      fixture.apply({ kind: 'define-queue', queue: draft('jobs') }, 3_000);
      expect(fixture.machine.queue(1)?.createdAtMs).toBe(5_000);
    }
    expect([...restarts.rows.map]).toEqual([...stays.rows.map]);
  });

  test('gives queues identities that are never used again, and spreads them over partitions', () => {
    const fixture = formed();
    const placed: number[] = [];
    for (let i = 0; i < 5; i++) {
      const reply = fixture.apply({ kind: 'define-queue', queue: draft(`q${i}`) });
      expect(reply.result).toBe('done');
      placed.push(reply.changed?.partitions[0] as number);
    }
    expect(placed).toEqual([1, 2, 3, 4, 1]);
    expect(fixture.apply({ kind: 'remove-queue', queueId: 5 }).result).toBe('done');
    fixture.restart();
    expect(fixture.apply({ kind: 'define-queue', queue: draft('again') }).changed?.queueId).toBe(6);
  });

  test('refuses a taken name and keeps the first queue', () => {
    const fixture = formed();
    fixture.apply({ kind: 'define-queue', queue: draft('jobs') });
    const epoch = fixture.machine.epoch;
    expect(fixture.apply({ kind: 'define-queue', queue: draft('jobs', { topicFilter: 'other' }) }).result).toBe(
      'already-exists',
    );
    expect(fixture.machine.epoch).toBe(epoch);
    expect(fixture.machine.queueByName('jobs')?.topicFilter).toBe('jobs/#');
  });

  test('an update keeps identity, filter and kind, and loses against a change it has not seen', () => {
    const fixture = formed();
    const first = fixture.apply({ kind: 'define-queue', queue: draft('jobs') }).changed;
    const update = (expectedVersion: number): MetaReply =>
      fixture.apply({
        kind: 'update-queue',
        queueId: 1,
        expectedVersion,
        queue: draft('renamed', { isLastValue: true, dispatchStrategy: 'round_robin' }),
      });
    const changed = update(first?.version as number).changed;
    expect(changed).toMatchObject({ name: 'jobs', topicFilter: 'jobs/#', isLastValue: false });
    expect(changed?.dispatchStrategy).toBe('round_robin');
    expect(update(first?.version as number).result).toBe('changed-meanwhile');
    expect(update(999).result).toBe('changed-meanwhile');
  });

  test('an objective comes and goes; who does not say it, as those of earlier versions, leaves it as it is', () => {
    const fixture = formed();
    const update = (earlier: MetaReply, change: Partial<QueueDraft>): MetaReply => {
      const expectedVersion = earlier.changed?.version as number;
      return fixture.apply({ kind: 'update-queue', queueId: 1, expectedVersion, queue: draft('jobs', change) });
    };
    const defined = fixture.apply({ kind: 'define-queue', queue: draft('jobs') });
    expect(defined.changed).not.toHaveProperty('lagObjectiveMs');
    const given = update(defined, { lagObjectiveMs: 30_000 });
    expect(given.changed?.lagObjectiveMs).toBe(30_000);
    const silent = update(given, { dispatchStrategy: 'round_robin' });
    expect(silent.changed?.lagObjectiveMs).toBe(30_000);
    expect(update(silent, { lagObjectiveMs: null }).changed?.lagObjectiveMs).toBeNull();
  });

  test('counts queues and partitions against their limits', () => {
    const fixture = formed();
    fixture.apply({ kind: 'set-config', config: { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, queueCountMax: 1 } });
    fixture.apply({ kind: 'define-queue', queue: draft('a') });
    expect(fixture.apply({ kind: 'define-queue', queue: draft('b') }).result).toBe('too-many-queues');
    fixture.apply({ kind: 'remove-queue', queueId: 1 });
    expect(fixture.apply({ kind: 'define-queue', queue: draft('b', { partitionCount: 5 }) }).result).toBe(
      'too-many-partitions',
    );
    expect(fixture.apply({ kind: 'remove-queue', queueId: 1 }).result).toBe('not-found');
  });

  test('cannot be switched off while queues exist', () => {
    const fixture = formed();
    fixture.apply({ kind: 'define-queue', queue: draft('a') });
    const off = { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, enable: false as const };
    expect(fixture.apply({ kind: 'set-config', config: off }).result).toBe('queues-exist');
    fixture.apply({ kind: 'remove-queue', queueId: 1 });
    expect(fixture.apply({ kind: 'set-config', config: off }).result).toBe('done');
  });

  test('is the same machine after a restart from its rows', () => {
    const fixture = formed();
    fixture.apply({ kind: 'define-queue', queue: draft('a') }, 5000);
    fixture.apply({ kind: 'define-queue', queue: draft('b') }, 4000);
    fixture.apply({ kind: 'remove-queue', queueId: 1 });
    const before = [...fixture.machine.queues()];
    // Time never goes back, whatever a leader's clock says.
    expect(before[0]?.createdAtMs).toBe(5000);
    fixture.apply({ kind: 'place-partitions', placements: [place(2, [1, 3], 3)], expectedEpoch: 0 });
    fixture.apply({ kind: 'partition-formed', partition: 2 });
    fixture.apply({ kind: 'register-node', node: registration('n2', 'another disk'), nodeId: 0 });
    fixture.apply({ kind: 'set-replication-factor', replicationFactor: 2 });
    const image = imageOf(fixture.machine);
    fixture.restart();
    expect([...fixture.machine.queues()]).toEqual(before);
    expect(imageOf(fixture.machine)).toEqual(image);
    expect(fixture.apply({ kind: 'register-node', node: registration('n9'), nodeId: 0 }).nodeId).toBe(5);
  });

  test('writes what a change changed, however much there is', () => {
    const fixture = formed();
    fixture.apply({ kind: 'set-config', config: { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, queueCountMax: 100 } });
    for (let i = 0; i < 50; i++) fixture.apply({ kind: 'define-queue', queue: draft(`q${i}`) });
    const written: number[] = [];
    const counting = (command: MetaCommand): void => {
      fixture.machine.apply(99, encodeMetaCommand(command, 1000));
      let rows = 0;
      fixture.machine.flush({ put: () => rows++, delete: () => rows++ });
      written.push(rows);
    };
    counting({ kind: 'define-queue', queue: draft('one-more') });
    counting({ kind: 'remove-queue', queueId: 3 });
    counting({ kind: 'register-node', node: registration('n9'), nodeId: 0 });
    counting({ kind: 'place-partitions', placements: [place(2, [1, 3], 3)], expectedEpoch: 0 });
    counting({ kind: 'define-queue', queue: draft('one-more') });
    expect(written).toEqual([2, 2, 2, 2, 0]);
  });

  test('stops at an entry of a newer version instead of guessing', () => {
    const bytes = encodeMetaCommand({ kind: 'remove-queue', queueId: 1 }, 1);
    const newer = Uint8Array.from(bytes);
    newer[1] = 2;
    expect(() => formed().machine.apply(9, newer)).toThrow(/not known/);
    const unknown = Uint8Array.from(bytes);
    unknown[0] = 99;
    expect(() => formed().machine.apply(9, unknown)).toThrow(/not known/);
  });
});

function place(partition: number, replicas: readonly number[], preferredLeader: number): PartitionInfo {
  return { partition, replicas, preferredLeader, bootstrap: false };
}

describe('a node that registers', () => {
  test('is given an id once; the same disk keeps it and brings what changed', () => {
    const fixture = formed();
    const first = fixture.apply({ kind: 'register-node', node: registration('n4'), nodeId: 0 });
    expect(first).toMatchObject({ result: 'done', nodeId: 4 });
    const epoch = fixture.machine.epoch;
    expect(fixture.apply({ kind: 'register-node', node: registration('n4'), nodeId: 0 })).toMatchObject({
      result: 'unchanged',
      nodeId: 4,
      epoch,
    });
    const moved = { ...registration('n4'), address: 'elsewhere:9', rack: 'b', version: '2' };
    expect(fixture.apply({ kind: 'register-node', node: moved, nodeId: 0 })).toMatchObject({
      result: 'done',
      nodeId: 4,
      nodes: [{ ...moved, nodeId: 4, state: 'active' }],
    });
  });

  test('under a name on another disk takes the place of the former, whose id nobody gets', () => {
    const fixture = formed();
    const reply = fixture.apply({ kind: 'register-node', node: registration('n2', 'new disk'), nodeId: 0 });
    expect(reply).toMatchObject({ result: 'done', nodeId: 4 });
    expect(reply.nodes?.map(({ nodeId, state }) => [nodeId, state])).toEqual([
      [2, 'gone'],
      [4, 'active'],
    ]);
    const former = fixture.machine.node(2) as NodeInfo;
    expect(successorOf(former, fixture.machine.nodes())?.nodeId).toBe(4);
    // The former disk turns up again: it is told so, and does not get its id back.
    expect(fixture.apply({ kind: 'register-node', node: registration('n2'), nodeId: 0 })).toMatchObject({
      result: 'node-gone',
      nodeId: 2,
    });
    expect(fixture.apply({ kind: 'set-node-state', nodeId: 2, state: 'active' }).result).toBe('node-gone');
  });

  test('does not take the name of a live node when it is another that is known', () => {
    const fixture = formed();
    const renamed = { ...registration('n1'), name: 'n2' };
    expect(fixture.apply({ kind: 'register-node', node: renamed, nodeId: 0 })).toMatchObject({
      result: 'name-taken',
      nodeId: 2,
    });
  });

  test('again after draining serves again; one that is leaving goes on leaving', () => {
    const fixture = formed();
    fixture.apply({ kind: 'set-node-state', nodeId: 1, state: 'draining' });
    fixture.apply({ kind: 'set-node-state', nodeId: 2, state: 'leaving' });
    fixture.apply({ kind: 'register-node', node: registration('n1'), nodeId: 0 });
    fixture.apply({ kind: 'register-node', node: registration('n2'), nodeId: 0 });
    expect(fixture.machine.node(1)?.state).toBe('active');
    expect(fixture.machine.node(2)?.state).toBe('leaving');
  });

  test('with an id nobody gave it, or before there is a cluster, is refused', () => {
    expect(formed().apply({ kind: 'register-node', node: registration('n9'), nodeId: 9 }).result).toBe('node-unknown');
    expect(new Fixture().apply({ kind: 'register-node', node: registration('n1'), nodeId: 0 }).result).toBe(
      'not-formed',
    );
  });

  test('of those that are gone, so many are remembered', () => {
    const fixture = formed();
    for (let disk = 0; disk < NodeTable.GONE_MAX + 20; disk++) {
      fixture.apply({ kind: 'register-node', node: registration('n1', `disk ${disk}`), nodeId: 0 });
    }
    const gone = fixture.machine.nodes().filter(({ state }) => state === 'gone');
    expect(gone).toHaveLength(NodeTable.GONE_MAX);
    expect(gone[0]?.nodeId).toBeGreaterThan(3);
    expect(fixture.machine.node(2)?.state).toBe('active');
    const before = imageOf(fixture.machine);
    fixture.restart();
    expect(imageOf(fixture.machine)).toEqual(before);
  });
});

describe('places of partitions', () => {
  test('begin once: until the partition was led, its replicas are who they are', () => {
    const fixture = formed();
    const placed = fixture.apply({ kind: 'place-partitions', placements: [place(1, [1, 2], 2)], expectedEpoch: 0 });
    expect(placed.partitions).toEqual([{ partition: 1, replicas: [1, 2], preferredLeader: 2, bootstrap: true }]);
    const elsewhere = (): MetaReply =>
      fixture.apply({ kind: 'place-partitions', placements: [place(1, [2, 3], 3)], expectedEpoch: 0 });
    expect(elsewhere().result).toBe('bad-placement');
    expect(fixture.apply({ kind: 'partition-formed', partition: 1 }).partitions?.[0]?.bootstrap).toBe(false);
    expect(fixture.apply({ kind: 'partition-formed', partition: 1 }).result).toBe('unchanged');
    expect(elsewhere().partitions).toEqual([{ partition: 1, replicas: [2, 3], preferredLeader: 3, bootstrap: false }]);
  });

  test('are refused when they name what is not there', () => {
    const fixture = formed();
    const of = (...placements: PartitionInfo[]): string =>
      fixture.apply({ kind: 'place-partitions', placements, expectedEpoch: 0 }).result;
    expect(of(place(5, [1], 1))).toBe('bad-placement');
    expect(of(place(0, [1], 1))).toBe('bad-placement');
    expect(of(place(1, [], 0))).toBe('bad-placement');
    expect(of(place(1, [1, 1], 1))).toBe('bad-placement');
    expect(of(place(1, [1, 9], 1))).toBe('bad-placement');
    expect(of(place(1, [1, 2], 3))).toBe('bad-placement');
    // All or nothing.
    expect(of(place(1, [1, 2], 1), place(2, [9], 9))).toBe('bad-placement');
    expect(fixture.machine.partitions().every(({ replicas }) => replicas.length === 0)).toBe(true);
  });

  test('computed before the nodes changed are refused; queues do not matter to them', () => {
    const fixture = formed();
    const { epoch } = fixture.machine;
    fixture.apply({ kind: 'define-queue', queue: draft('a') });
    const placing = { kind: 'place-partitions', placements: [place(1, [1, 2, 3], 2)], expectedEpoch: epoch } as const;
    fixture.apply({ kind: 'set-node-state', nodeId: 3, state: 'leaving' });
    expect(fixture.apply(placing).result).toBe('changed-meanwhile');
    const seen = fixture.machine.epoch;
    fixture.apply({ kind: 'define-queue', queue: draft('b') });
    expect(fixture.apply({ ...placing, expectedEpoch: seen }).result).toBe('done');
  });
});

describe('a cluster that was formed when clusters were one node', () => {
  const FORM_V1 = Buffer.from(
    '01010000018bcfe5687b3c7b22636c75737465724964223a226331222c22706172746974696f6e436f756e74223a31362c227175657565436f756e744d6178223a31303030307d',
    'hex',
  );
  const HEAD_V1 = {
    format: 1,
    epoch: 7,
    clusterId: 'c1',
    partitionCount: 4,
    nextQueueId: 3,
    nowMs: 5,
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
  };

  test('from its log: has that node, with every partition on it', () => {
    const machine = new MetaMachine();
    expect(machine.apply(1, FORM_V1).result).toBe('formed');
    expect(machine).toMatchObject({ clusterId: 'c1', partitionCount: 16, replicationFactor: 1 });
    expect(machine.partitions().every(({ replicas, bootstrap }) => replicas.join() === '1' && bootstrap)).toBe(true);
  });

  test('from its rows: the same, and they are written in the new form with the next change', () => {
    const fixture = new Fixture();
    fixture.rows.put(Uint8Array.of(0x4d), Buffer.from(JSON.stringify(HEAD_V1)));
    fixture.restart();
    expect(fixture.machine.partitions()).toHaveLength(4);
    expect(fixture.machine.nodes()).toMatchObject([{ nodeId: 1, incarnation: '', state: 'active' }]);
    const reply = fixture.apply({ kind: 'register-node', node: registration('n1'), nodeId: 1 });
    expect(reply).toMatchObject({ result: 'done', nodeId: 1 });
    expect(fixture.apply({ kind: 'register-node', node: registration('n2'), nodeId: 0 }).nodeId).toBe(2);
    const image = imageOf(fixture.machine);
    fixture.restart();
    expect(imageOf(fixture.machine)).toEqual(image);
    expect(fixture.machine.node(1)).toMatchObject({ name: 'n1', incarnation: 'n1-disk' });
  });

  test('another node that comes first does not take the id of the one that was there', () => {
    const machine = new MetaMachine();
    machine.apply(1, FORM_V1);
    const joining = encodeMetaCommand({ kind: 'register-node', node: registration('n2'), nodeId: 0 }, 1);
    expect(machine.apply(2, joining).nodeId).toBe(2);
  });

  test('a damaged row stops it, by its name and with what to do', () => {
    const access = { table: 'user', key: 'alice', value: { hash: '', isSuperuser: false } } as const;
    const id = (table: number, ...bytes: number[]) => Uint8Array.of(table, 0, 0, 0, 0, 0, 0, 0, ...bytes);
    const damaged: [string, Uint8Array, string][] = [
      ['the cluster', HEAD_KEY, '{"format":1,"epoch":'],
      ['the cluster', HEAD_KEY, '{}'],
      ['queue 12', keyOfQueue(12), '{"queueId":12'],
      ['queue 12', keyOfQueue(12), '{"queueId":13}'],
      ['queue 12', keyOfQueue(12), 'null'],
      ['queue', id(0x51), '{"queueId":0}'],
      ['node 3', keyOfNode(3), '{"nodeId":"3"}'],
      ['partition 4', keyOfPartition(4), ''],
      ['user alice', keyOfAccess(access), JSON.stringify({ ...access, key: 'bob' })],
      ['user alice', keyOfAccess(access), '[]'],
      ['access, key 41ff', Uint8Array.of(0x41, 0xff), '{"table":"user","key":"alice"}'],
    ];
    for (const [name, key, text] of damaged) {
      const thrown = expect.objectContaining({
        code: 'META_ROW_DAMAGED',
        message: `the metadata's row of ${name} is damaged`,
        hint: expect.stringContaining('move the directory state away'),
      });
      expect(() => MetaMachine.restore([{ key, value: Buffer.from(text) }])).toThrow(thrown);
    }
  });

  test('rows of a newer version stop it', () => {
    const rows = [{ key: Uint8Array.of(0x4d), value: Buffer.from(JSON.stringify({ ...HEAD_V1, format: 4 })) }];
    expect(() => MetaMachine.restore(rows)).toThrow(/not known/);
    expect(() => MetaMachine.restore([{ key: Uint8Array.of(1), value: Buffer.from('{}') }])).toThrow(/not known/);
  });
});

describe('the feature level', () => {
  const raise = (level: number, expectedEpoch: number): MetaCommand => ({
    kind: 'raise-feature-level',
    level,
    expectedEpoch,
  });
  const register = (name: string, levels?: { min: number; max: number }): MetaCommand => ({
    kind: 'register-node',
    node: { ...registration(name), levels },
    nodeId: 0,
  });

  test('rises and never falls; the rise says so to every node', () => {
    const fixture = formed();
    const { machine } = fixture;
    expect(machine.featureLevel).toEqual({ level: 1, isHeld: false });
    const { layoutEpoch } = machine;
    expect(fixture.apply(raise(3, machine.epoch))).toMatchObject({
      result: 'done',
      epoch: 2,
      featureLevel: { level: 3, isHeld: false },
    });
    expect(machine.layoutEpoch).toBe(layoutEpoch);
    for (const level of [3, 2]) expect(fixture.apply(raise(level, machine.epoch)).result).toBe('unchanged');
    expect(machine.featureLevel.level).toBe(3);
    expect(new Fixture().apply(raise(2, 0)).result).toBe('not-formed');
  });

  test('does not rise past a node that came after they were counted, nor while it is held', () => {
    const fixture = formed();
    const { machine } = fixture;
    const counted = machine.epoch;
    expect(fixture.apply(register('n9')).result).toBe('done');
    expect(fixture.apply(raise(2, counted)).result).toBe('changed-meanwhile');
    expect(fixture.apply({ kind: 'hold-feature-level', isHeld: true }).featureLevel?.isHeld).toBe(true);
    expect(fixture.apply({ kind: 'hold-feature-level', isHeld: true }).result).toBe('unchanged');
    expect(fixture.apply(raise(2, machine.epoch)).result).toBe('level-held');
    fixture.apply({ kind: 'hold-feature-level', isHeld: false });
    expect(fixture.apply(raise(2, machine.epoch)).result).toBe('done');
  });

  test('lets nobody in who cannot take part; what they support is said and not kept', () => {
    const fixture = formed();
    const { machine } = fixture;
    // A replica of a build from before there were levels keeps the node as it knows nodes.
    expect(fixture.apply(register('early', { min: 1, max: 9 })).result).toBe('done');
    expect(machine.nodes().some((node) => 'levels' in node)).toBe(false);
    fixture.apply(raise(3, machine.epoch));
    const nodes = machine.nodes().length;
    expect(fixture.apply(register('untold')).result).toBe('level-unsupported');
    expect(fixture.apply(register('old', { min: 1, max: 2 })).result).toBe('level-unsupported');
    expect(fixture.apply(register('new', { min: 4, max: 5 })).result).toBe('level-unsupported');
    expect(machine.nodes()).toHaveLength(nodes);
    expect(fixture.apply(register('fit', { min: 2, max: 5 })).result).toBe('done');
  });

  test('is in the rows, which are of the former format until there is one', () => {
    const fixture = formed();
    const head = (): { format: number } => {
      const row = fixture.rows.map.get(Buffer.from('M').toString('hex'))?.value as Uint8Array;
      return JSON.parse(Buffer.from(row).toString());
    };
    expect(head().format).toBe(2);
    expect(head()).not.toHaveProperty('featureLevel');
    fixture.apply(raise(2, fixture.machine.epoch));
    fixture.apply({ kind: 'hold-feature-level', isHeld: true });
    expect(head().format).toBe(3);
    fixture.restart();
    expect(fixture.machine.featureLevel).toEqual({ level: 2, isHeld: true });
    expect(fixture.apply(raise(3, fixture.machine.epoch)).result).toBe('level-held');
  });

  test('stops a replica of a build that does not support it, whether it comes as an entry or as rows', () => {
    const fixture = formed();
    expect(() => fixture.apply(raise(10, fixture.machine.epoch))).toThrow('this build supports levels 1 to 9');
    fixture.apply(raise(9, fixture.machine.epoch));
    const rows = [...fixture.rows.map.values()];
    expect(() => MetaMachine.restore(rows, { min: 1, max: 8 })).toThrow('the cluster is at feature level 9');
  });
});

test('a command of a newer build is refused before it is written down, where it would stop every replica', () => {
  const command = { kind: 'of-tomorrow' } as unknown as MetaCommand;
  expect(() => encodeMetaCommand(command, 1)).toThrow('the metadata has no command of-tomorrow');
});
