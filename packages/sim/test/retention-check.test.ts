import { describe, expect, test } from '@jest/globals';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import { QueueState } from '@sluice/queue/machine/queue-state';
import { type Delivery, textOf } from '../src/check/queue-check.ts';
import { RetentionCheck } from '../src/check/retention-check.ts';
import { unexplainedDrops } from '../src/check/unexplained-drops.ts';
import { found } from './support/checker-that-finds.ts';

class Script {
  nowMs = 0;
  readonly check = new RetentionCheck({ nowMs: () => this.nowMs, isCalm: () => true, keepsHolders: true });
  readonly row = new QueueState({
    queueId: 1,
    version: 1,
    name: 'q',
    isLastValue: false,
    countMax: null,
    bytesMax: null,
    overflow: 'refuse',
  });

  constructor() {
    this.check.lasts({ ...QUEUE_SETTING_DEFAULTS, queueId: 1, name: 'q' } as QueueDefinition);
  }

  /** Published and acknowledged 10 ms later. */
  stored(id: number, atMs: number): void {
    this.nowMs = atMs;
    this.check.published({ id, queueId: 1, partition: 1, publisher: 'p', sequence: id, key: undefined });
    this.nowMs += 10;
    this.check.acknowledged(id);
    this.row.published++;
  }

  delivered(id: number, atMs: number): string {
    this.nowMs = atMs;
    const message = { id, queueId: 1, publisher: 'p', sequence: id, key: undefined };
    const delivery: Delivery = {
      ...{ id, queueId: 1, partition: 1, offset: id, attachment: 1, store: 's', deliveryCount: 1 },
      ...{ sentAtMs: atMs, text: textOf(message) },
    };
    return found(() => this.check.delivered(delivery));
  }

  purged(askedAtMs: number, answeredAtMs: number, count: number): void {
    this.nowMs = askedAtMs;
    const purge = this.check.purgeAsked(1);
    this.nowMs = answeredAtMs;
    this.check.purged(purge, count);
  }

  period(dataRetentionMs: number, askedAtMs: number, answeredAtMs: number, version: number): void {
    const change = this.check.settings.asked('q', { dataRetentionMs }, askedAtMs);
    this.nowMs = answeredAtMs;
    this.check.changed(change, version);
  }

  endsAt(atMs: number): string {
    this.nowMs = atMs;
    return found(() => {
      this.check.atTheEnd(atMs);
      this.check.endsWith(this.row, 1);
    });
  }
}

describe('a queue that is purged', () => {
  test('hands out what was acknowledged before', () => {
    const script = new Script();
    for (const id of [1, 2]) script.stored(id, 0);
    script.stored(3, 50);
    script.purged(55, 100, 1);
    expect(script.delivered(1, 90)).toBe('');
    expect(script.delivered(2, 110)).toBe('purged and delivered');
    // It was not acknowledged yet when the purge was asked for.
    expect(script.delivered(3, 110)).toBe('');
  });

  test('shows what was acknowledged before', () => {
    const script = new Script();
    script.stored(1, 0);
    script.purged(55, 100, 1);
    const page = { messages: [{ payload: Buffer.from('1/'), offset: 1 }], nextOffset: null } as never;
    expect(found(() => script.check.peeked(1, page, 90))).toBe('');
    expect(found(() => script.check.peeked(1, page, 101))).toBe('purged and shown');
  });

  test('loses what came behind the purge, or more than it counts', () => {
    const script = new Script();
    script.stored(1, 0);
    script.purged(55, 100, 1);
    expect(script.endsAt(200)).toBe('acknowledged and lost');
    script.row.droppedPurged = 1;
    script.check.missing.clear();
    expect(script.endsAt(200)).toBe('');
    script.stored(2, 300);
    script.row.droppedPurged = 2;
    script.check.missing.clear();
    expect(script.endsAt(400)).toBe('acknowledged and lost');
  });
});

describe('a queue with a period', () => {
  test('drops before its time, by the period of any time', () => {
    const script = new Script();
    script.stored(1, 0);
    script.period(500, 100, 110, 2);
    script.row.droppedExpired = 1;
    expect(found(() => script.check.look(script.row, 1, 499))).toBe('dropped');
    expect(found(() => script.check.look(script.row, 1, 500))).toBe('');
    const late = new Script();
    late.stored(1, 0);
    late.period(500, 100, 110, 2);
    late.period(60_000, 200, 210, 3);
    late.row.droppedExpired = 1;
    expect(found(() => late.check.look(late.row, 1, 5_000))).toBe('dropped');
  });

  test('hands out what should have gone long ago', () => {
    const script = new Script();
    for (const id of [1, 2]) script.stored(id, 0);
    script.period(500, 100, 110, 2);
    expect(script.delivered(1, 3_000)).toBe('');
    expect(script.delivered(2, 3_520)).toBe('kept too long');
  });
});

describe('what a queue counts', () => {
  test('is less than nothing, or bytes of no message', () => {
    const script = new Script();
    script.row.depth = -1;
    expect(found(() => script.check.look(script.row, 1, 0))).toBe('counted');
    script.row.depth = 0;
    script.row.depthBytes = 7;
    expect(found(() => script.check.look(script.row, 1, 0))).toBe('counted');
  });

  test('explains each missing message by a reason that it may have had, and each once', () => {
    const counts = { purged: 1, retention: 1, overflow: 0, overwritten: 0 };
    const either = new Set(['purged', 'retention'] as const);
    const purged = new Set(['purged'] as const);
    expect(unexplainedDrops([either, purged], counts)).toBeUndefined();
    expect(unexplainedDrops([purged, purged], counts)).toMatch(/^2 may have gone by purged alone, 1/);
    expect(unexplainedDrops([either, either, purged], counts)).toMatch(/^3 may have gone by purged, retention/);
    expect(unexplainedDrops([new Set()], counts)).toMatch(/^1 may have gone by nothing/);
  });
});

test('a change of settings that was answered is forgotten', () => {
  const script = new Script();
  const definition = { ...QUEUE_SETTING_DEFAULTS, queueId: 1, name: 'q' } as QueueDefinition;
  script.period(500, 100, 110, 2);
  expect(found(() => script.check.isDefined(definition))).toBe('metadata');
  expect(found(() => script.check.isDefined({ ...definition, dataRetentionMs: 500 }))).toBe('');
  script.check.settings.asked('q', { dataRetentionMs: 9 }, 200);
  expect(found(() => script.check.isDefined({ ...definition, dataRetentionMs: 9 }))).toBe('');
});
