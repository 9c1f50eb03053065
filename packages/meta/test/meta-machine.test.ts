import { describe, expect, test } from '@jest/globals';
import { encodeMetaCommand, type MetaCommand, type QueueDraft } from '../src/meta-commands.ts';
import { MetaMachine, type MetaReply } from '../src/meta-machine.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';

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

class Rows {
  readonly map = new Map<string, { key: Uint8Array; value: Uint8Array }>();
  put(key: Uint8Array, value: Uint8Array): void {
    this.map.set(Buffer.from(key).toString('hex'), { key, value });
  }
  delete(key: Uint8Array): void {
    this.map.delete(Buffer.from(key).toString('hex'));
  }
}

class Fixture {
  machine = new MetaMachine();
  readonly rows = new Rows();
  #index = 0;
  apply(command: MetaCommand, stampMs = 1000): MetaReply {
    const reply = this.machine.apply(++this.#index, encodeMetaCommand(command, stampMs));
    this.machine.flush(this.rows);
    return reply;
  }
  restart(): void {
    this.machine = MetaMachine.restore(this.rows.map.values());
  }
}

function formed(): Fixture {
  const fixture = new Fixture();
  expect(fixture.apply({ kind: 'form-cluster', clusterId: 'c1', partitionCount: 4, queueCountMax: 7 }).result).toBe(
    'formed',
  );
  return fixture;
}

describe('the metadata machine', () => {
  test('forms a cluster once', () => {
    const fixture = formed();
    expect(fixture.apply({ kind: 'form-cluster', clusterId: 'c2', partitionCount: 9, queueCountMax: 9 }).result).toBe(
      'already-formed',
    );
    expect(fixture.machine.clusterId).toBe('c1');
    expect(fixture.machine.partitionCount).toBe(4);
    expect(fixture.machine.config.queueCountMax).toBe(7);
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
    const { epoch, config } = fixture.machine;
    fixture.restart();
    expect([...fixture.machine.queues()]).toEqual(before);
    expect(fixture.machine).toMatchObject({ epoch, config, clusterId: 'c1', partitionCount: 4 });
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
