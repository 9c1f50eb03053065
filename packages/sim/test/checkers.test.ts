import { describe, expect, test } from '@jest/globals';
import { ConsensusCheck, ProposalCheck, ReadCheck } from '../src/check/consensus-check.ts';
import { imageDifference, type Layout, unevennessOf } from '../src/check/layout-check.ts';
import { MetadataCheck } from '../src/check/metadata-check.ts';
import { type Delivery, type Message, QueueCheck, textOf } from '../src/check/queue-check.ts';
import { differenceOf, SimWire } from '../src/sim-wire.ts';
import { found } from './support/checker-that-finds.ts';

describe('what consensus promises', () => {
  test('two leaders in one term', () => {
    const check = new ConsensusCheck(1);
    check.leads(3, 1);
    check.leads(3, 1);
    check.leads(4, 2);
    expect(found(() => check.leads(4, 1))).toBe('one leader a term');
  });

  test('another command at an index, another state after the same one, another membership', () => {
    const check = new ConsensusCheck(1);
    check.applied('a', 5, 10, 100);
    check.applied('b', 5, 10, 100);
    expect(found(() => check.applied('b', 5, 11, 100))).toBe('log matching');
    expect(found(() => check.applied('b', 5, 10, 101))).toBe('replica agreement');
    check.membership('a', 6, '1,2,3//');
    expect(found(() => check.membership('b', 6, '1,2//'))).toBe('log matching');
  });

  test('what was acknowledged, invented, refused', () => {
    const check = new ProposalCheck();
    for (const id of [1, 2, 3]) check.attempted(id);
    check.acknowledged(1, 10);
    check.refused(2);
    expect(found(() => check.acknowledged(1, 11))).toBe('acknowledged twice');
    expect(found(() => check.atTheEnd('a', new Map([[1, 10]])))).toBe('');
    expect(found(() => check.atTheEnd('a', new Map()))).toBe('acknowledged and lost');
    expect(found(() => check.atTheEnd('a', new Map([[1, 12]])))).toBe('acknowledged and lost');
    expect(
      found(() =>
        check.atTheEnd(
          'a',
          new Map([
            [1, 10],
            [9, 11],
          ]),
        ),
      ),
    ).toBe('invention');
    expect(
      found(() =>
        check.atTheEnd(
          'a',
          new Map([
            [1, 10],
            [2, 11],
          ]),
        ),
      ),
    ).toBe('refused and stored');
  });

  test('a read that is behind', () => {
    const check = new ReadCheck();
    check.acknowledged(7);
    expect(found(() => check.answered('a', check.asked(), 7))).toBe('');
    expect(found(() => check.answered('a', check.asked(), 6))).toBe('stale read');
  });
});

describe('what a queue promises', () => {
  const message = (id: number, sequence = id, key?: string): Message => ({
    id,
    queueId: 1,
    publisher: 'p',
    sequence,
    key,
  });
  const delivery = (of: Message, offset: number, more: Partial<Delivery> = {}): Delivery => ({
    id: of.id,
    queueId: 1,
    partition: 1,
    offset,
    attachment: 1,
    store: 'n1.1',
    deliveryCount: 1,
    sentAtMs: 100,
    text: textOf(of),
    ...more,
  });

  function checkOf(messages: readonly Message[], strict = false): QueueCheck {
    const check = new QueueCheck(() => strict);
    for (const each of messages) check.published(each);
    for (let i = 0; i < 3; i++) check.attach();
    return check;
  }

  test('acknowledged and never delivered', () => {
    const check = checkOf([message(1)]);
    check.acknowledged(1);
    expect(found(() => check.atTheEnd())).toBe('acknowledged and lost');
    check.delivered(delivery(message(1), 0));
    expect(found(() => check.atTheEnd())).toBe('');
  });

  test('a value is stood for by a newer one of its key, and by no older one', () => {
    const [old, newer] = [message(1, 1, 'k'), message(2, 2, 'k')];
    const superseded = checkOf([old, newer]);
    superseded.acknowledged(1);
    superseded.delivered(delivery(newer, 1));
    expect(found(() => superseded.atTheEnd())).toBe('');
    const lost = checkOf([old, newer]);
    lost.acknowledged(2);
    lost.delivered(delivery(old, 0));
    expect(found(() => lost.atTheEnd())).toBe('acknowledged and lost');
  });

  test('what nobody published, what was changed on the way, what was refused', () => {
    const check = checkOf([message(1), message(2)]);
    check.refused(2);
    expect(found(() => check.delivered(delivery(message(9), 0)))).toBe('no invention');
    expect(found(() => check.delivered(delivery(message(1), 0, { text: '1/1/q/1/' })))).toBe('no invention');
    expect(found(() => check.delivered(delivery(message(2), 0)))).toBe('refused and stored');
  });

  test('a place that held another message', () => {
    const check = checkOf([message(1), message(2)]);
    check.delivered(delivery(message(1), 0));
    expect(found(() => check.delivered(delivery(message(2), 0)))).toBe('log matching');
  });

  test('handed out after it was settled for ever', () => {
    const check = checkOf([message(1), message(2)]);
    check.floor(1, 1, 1, 50);
    expect(found(() => check.delivered(delivery(message(2), 1)))).toBe('');
    expect(found(() => check.delivered(delivery(message(1), 0, { sentAtMs: 40, attachment: 2 })))).toBe('');
    expect(found(() => check.delivered(delivery(message(1), 0, { attachment: 2 })))).toBe('no resurrection');
  });

  test('two holders at one store; another after it was given back, or its holder is gone', () => {
    const check = checkOf([message(1)]);
    const first = delivery(message(1), 0);
    check.delivered(first);
    expect(found(() => check.delivered(delivery(message(1), 0, { attachment: 2 })))).toBe('single holder');
    check.settled(first, false);
    expect(found(() => check.delivered(delivery(message(1), 0, { attachment: 2 })))).toBe('');
    check.detached(2);
    expect(found(() => check.delivered(delivery(message(1), 0, { attachment: 3 })))).toBe('');
    check.detached(3);
    const cutOff = check.attach(() => false);
    check.delivered(delivery(message(1), 0, { attachment: cutOff }));
    expect(found(() => check.delivered(delivery(message(1), 0, { attachment: 1 })))).toBe('');
    // What was sent to one that stood still, and given to another since.
    expect(found(() => check.delivered(delivery(message(1), 0, { attachment: cutOff })))).toBe('');
  });

  test('a second delivery that nobody asked for is counted, and found where nothing was done to anybody', () => {
    const twice = (strict: boolean) => {
      const check = checkOf([message(1)], strict);
      check.delivered(delivery(message(1), 0));
      check.settled(delivery(message(1), 0), true);
      return { check, problem: found(() => check.delivered(delivery(message(1), 0, { attachment: 2 }))) };
    };
    expect(twice(true).problem).toBe('duplicate without a fault');
    expect(twice(false)).toMatchObject({ problem: '', check: { duplicates: 1 } });
  });

  test('a change of leader that repeats what a client has, and one that does not', () => {
    const again = (keepsHolders: boolean, meanwhile: (check: QueueCheck) => void) => {
      const check = new QueueCheck(
        () => false,
        () => keepsHolders,
      );
      check.published(message(1));
      for (let i = 0; i < 3; i++) check.attach();
      check.delivered(delivery(message(1), 0));
      meanwhile(check);
      check.detached(1);
      return found(() => check.delivered(delivery(message(1), 0, { attachment: 2, store: 'n2.1' })));
    };
    const orphaned = (check: QueueCheck) => check.orphaned(delivery(message(1), 0));
    expect(again(true, orphaned)).toBe('repeated by a change of leader');
    expect(again(true, (check) => check.settled(delivery(message(1), 0), true))).toBe('repeated by a change of leader');
    expect(again(false, orphaned)).toBe('');
    const refused = (check: QueueCheck) => check.refusedBy({ queueId: 1, partition: 1, offset: 0 });
    expect(again(true, refused)).toBe('');
  });

  test('stored twice, whatever was done to whom', () => {
    const check = checkOf([message(1)]);
    check.delivered(delivery(message(1), 0));
    check.settled(delivery(message(1), 0), false);
    expect(found(() => check.delivered(delivery(message(1), 1)))).toBe('stored once');
  });

  test('the order of the log at one worker, of a publisher in the log, of the values of a key', () => {
    const check = checkOf([message(1), message(2)]);
    check.delivered(delivery(message(2), 1));
    expect(found(() => check.delivered(delivery(message(1), 0)))).toBe('order of delivery');
    const swapped = checkOf([message(1), message(2)]);
    swapped.delivered(delivery(message(2), 0));
    swapped.delivered(delivery(message(1), 1));
    expect(found(() => swapped.atTheEnd())).toBe('publish order');
    const keyed = checkOf([message(1, 1, 'k'), message(2, 2, 'k')]);
    keyed.delivered(delivery(message(2, 2, 'k'), 0));
    expect(found(() => keyed.delivered(delivery(message(1, 1, 'k'), 1)))).toBe('latest wins');
  });

  test('an old value that came to stand behind the newest', () => {
    const check = checkOf([message(1, 1, 'k'), message(2, 2, 'k')]);
    check.acknowledged(2);
    check.delivered(delivery(message(2, 2, 'k'), 0));
    check.delivered(delivery(message(1, 1, 'k'), 1, { attachment: 2 }));
    expect(found(() => check.atTheEnd())).toBe('publish order');
  });

  test('more than the window', () => {
    const check = checkOf([]);
    expect(found(() => check.within(3, 3, 'w'))).toBe('');
    expect(found(() => check.within(4, 3, 'w'))).toBe('window');
  });

  test('handed out after it expired, or after its queue was gone', () => {
    const check = checkOf([{ ...message(1), expiresAtMs: 100 }, { ...message(2), expiresAtMs: 101 }, message(3)]);
    expect(found(() => check.delivered(delivery(message(1), 0)))).toBe('expiry');
    expect(found(() => check.delivered(delivery(message(2), 1)))).toBe('');
    check.gone(1, 99);
    expect(found(() => check.delivered(delivery(message(3), 2)))).toBe('removed and delivered');
  });

  test('what expired, or was in a queue that was removed, need not be delivered; everything else must', () => {
    const expired = checkOf([{ ...message(1), expiresAtMs: 100 }]);
    expired.acknowledged(1);
    expect(found(() => expired.atTheEnd(99))).toBe('acknowledged and lost');
    expect(found(() => expired.atTheEnd(100))).toBe('');
    const removed = checkOf([message(1), { ...message(2), queueId: 2 }]);
    removed.doomed(1);
    removed.acknowledged(1);
    expect(found(() => removed.atTheEnd())).toBe('');
    removed.acknowledged(2);
    expect(found(() => removed.atTheEnd())).toBe('acknowledged and lost');
  });
});

describe('what the metadata promises of queues', () => {
  const made = (tag: number, queueId: number, version: number) => ({ tag, queueId, version });

  test('answers in the order of their moments have versions in that order, and ids that nobody had', () => {
    const check = new MetadataCheck();
    const [first, meanwhile] = [check.asked('a', 'create'), check.asked('b', 'create')];
    check.done(first, made(first.tag, 1, 5));
    const later = check.asked('c', 'create');
    expect(found(() => check.done(meanwhile, made(meanwhile.tag, 2, 4)))).toBe('');
    expect(found(() => check.done(later, made(later.tag, 3, 5)))).toBe('metadata');
    const again = check.asked('d', 'create');
    expect(found(() => check.done(again, made(again.tag, 2, 9)))).toBe('metadata');
    const mixed = check.asked('e', 'create');
    expect(found(() => check.done(mixed, made(first.tag, 4, 10)))).toBe('metadata');
  });

  test('created and gone, removed and there, a name given twice', () => {
    const lost = new MetadataCheck();
    const create = lost.asked('a', 'create');
    lost.done(create, undefined);
    expect(found(() => lost.atTheEnd(new Map([['a', create.tag]])))).toBe('');
    expect(found(() => lost.atTheEnd(new Map()))).toBe('metadata');
    lost.done(lost.asked('a', 'remove'), undefined);
    expect(found(() => lost.atTheEnd(new Map()))).toBe('');
    expect(found(() => lost.atTheEnd(new Map([['a', create.tag]])))).toBe('metadata');
    const twice = new MetadataCheck();
    twice.done(twice.asked('a', 'create'), undefined);
    const second = twice.asked('a', 'create');
    twice.done(second, undefined);
    expect(found(() => twice.atTheEnd(new Map([['a', second.tag]])))).toBe('metadata');
  });

  test('a change that was taken back, a name that was refused and free', () => {
    const check = new MetadataCheck();
    const create = check.asked('a', 'create');
    check.done(create, undefined);
    const update = check.asked('a', 'update');
    check.done(update, undefined);
    expect(found(() => check.atTheEnd(new Map([['a', update.tag]])))).toBe('');
    expect(found(() => check.atTheEnd(new Map([['a', create.tag]])))).toBe('metadata');
    const refused = new MetadataCheck();
    refused.refused(refused.asked('a', 'create'), 'exists');
    expect(found(() => refused.atTheEnd(new Map()))).toBe('metadata');
  });

  test('what nobody answered may have been done at any time since, or never', () => {
    const check = new MetadataCheck();
    const unknown = check.asked('a', 'create');
    check.refused(check.asked('a', 'create'), 'exists');
    check.done(check.asked('a', 'remove'), undefined);
    expect(found(() => check.atTheEnd(new Map()))).toBe('');
    expect(found(() => check.atTheEnd(new Map([['a', unknown.tag]])))).toBe('metadata');
  });
});

describe('what arrives', () => {
  test('is what was sent, to the last field', () => {
    const sent = { type: 'a', bytes: Uint8Array.of(1, 2), list: [{ n: 1 }, { n: 2 }], none: undefined };
    expect(
      differenceOf(sent, { type: 'a', bytes: Buffer.from([1, 2]), list: [{ n: 1 }, { n: 2 }] }, 'x'),
    ).toBeUndefined();
    expect(differenceOf(sent, { ...sent, list: [{ n: 1 }, {}] }, 'x')).toContain('x.list.1.n');
    expect(differenceOf(sent, { ...sent, bytes: Uint8Array.of(1, 3) }, 'x')).toContain('x.bytes');
    expect(differenceOf(sent, { ...sent, more: 0 }, 'x')).toContain('x.more');
  });

  test('is found where a codec drops a field', () => {
    const wire = new SimWire();
    const message = { type: 'detach', consumerId: 7 };
    expect(wire.carry('consume', 'request', message).message).toEqual(message);
    expect(found(() => wire.carry('consume', 'request', { ...message, dropped: 1 }))).toBe('wire');
  });
});

describe('where everything is in the end', () => {
  const group = (groupId: number, leader: number, voters: readonly number[]) => ({
    groupId,
    leader,
    voters,
    others: [] as readonly number[],
    replicas: [...voters].reverse(),
  });
  const even: Layout = {
    active: [1, 2, 3, 4],
    running: [4, 3, 2, 1],
    replicationFactor: 2,
    groups: [group(1, 1, [1, 2]), group(2, 2, [2, 3]), group(3, 3, [3, 4])],
  };

  test('copies and leaders even within one, each group where it shall be', () => {
    expect(unevennessOf(even)).toBe('');
    const [first, second, third] = even.groups as [Layout['groups'][0], Layout['groups'][0], Layout['groups'][0]];
    const broken: [string, Partial<Layout>][] = [
      ['copies', { groups: [first, group(2, 2, [1, 2]), third, group(4, 4, [1, 2])] }],
      ['leaders', { groups: [group(1, 2, [1, 2]), group(2, 2, [2, 3]), group(3, 4, [3, 4]), group(4, 4, [4, 1])] }],
      ['shall be on', { groups: [{ ...first, replicas: [1, 3] }, second, third] }],
      ['shall be on', { groups: [{ ...first, others: [4] }, second, third] }],
      ['only', { replicationFactor: 3 }],
      ['run', { running: [1, 2, 3] }],
      ['run', { active: [1, 2, 3] }],
    ];
    for (const [said, change] of broken) expect(unevennessOf({ ...even, ...change })).toContain(said);
  });

  test('a node that knows a queue that is gone, lacks one, or knows an old version', () => {
    const queue = (queueId: number, version: number) => ({ queueId, name: `q${queueId}`, version });
    const is = [queue(1, 5), queue(2, 6)];
    expect(imageDifference(is, [queue(2, 6), queue(1, 5)])).toBeUndefined();
    for (const known of [[queue(1, 5)], [...is, queue(3, 7)], [queue(1, 4), queue(2, 6)], []]) {
      expect(imageDifference(is, known)).toContain('metadata');
    }
  });
});
