import { describe, expect, test } from '@jest/globals';
import { EpochCheck } from '../src/check/epoch-check.ts';
import { PacketIdCheck } from '../src/check/packet-id-check.ts';
import { RetainedCheck } from '../src/check/retained-check.ts';
import { covers, SessionCheck, type SessionConnection, type SessionMessage } from '../src/check/session-check.ts';
import { TakenIds } from '../src/check/taken-ids.ts';
import { found } from './support/checker-that-finds.ts';

describe('what a kept session promises', () => {
  const STREAMS = new Set(['1 d/+']);
  const connection = { connectSentMs: 0 };

  /** Subscribed to `d/+` at 5, answered at 10; its messages come at 20, 30, … and are acknowledged 1 ms later. */
  function subscribed(messages: number, isStrict = false) {
    const check = new SessionCheck(() => isStrict);
    const id = check.asked('c', 1, 'd/+', 5);
    check.subscribed(id, 10);
    const all = Array.from({ length: messages }, (_, i) => publish(check, i + 1, 20 + i * 10));
    return { check, id, all };
  }

  function publish(check: SessionCheck, id: number, sentAtMs: number, streams: ReadonlySet<string> = STREAMS) {
    const message: SessionMessage = { id, topic: 'd/1', publisher: 'p', sequence: id, sentAtMs, text: `${id}/d/p` };
    check.published(message);
    check.routed(id, streams);
    check.acknowledged(id, sentAtMs + 1);
    return message;
  }

  const texts = (messages: readonly SessionMessage[]): string[] => messages.map(({ text }) => text);

  test('acknowledged and never delivered', () => {
    const { check, id, all } = subscribed(2);
    check.delivered(connection, id, all[0]?.text as string, false);
    expect([...check.owed('c')].length).toBe(1);
    expect(found(() => check.atTheEnd(false))).toBe('acknowledged and lost');
    check.delivered(connection, id, all[1]?.text as string, false);
    expect(found(() => check.atTheEnd(false))).toBe('');
  });

  test('nothing is owed before SUBACK, after UNSUBSCRIBE, in doubt, or when the session is over', () => {
    const early = new SessionCheck(() => false);
    const id = early.asked('c', 1, 'd/+', 5);
    publish(early, 1, 9);
    early.subscribed(id, 10);
    expect(found(() => early.atTheEnd(false))).toBe('');
    for (const end of ['leaving', 'gone', 'doubtful'] as const) {
      const { check, id: over } = subscribed(1);
      if (end === 'gone') check.gone(over, { connectSentMs: 35 }, 40);
      else check[end](over, 40);
      expect(found(() => check.atTheEnd(false))).toBe('');
    }
  });

  test('published through a gateway that had not heard of the subscription: found where none was out of reach', () => {
    const { check } = subscribed(0);
    publish(check, 1, 20, new Set(['2 d/+', '1 d/1']));
    expect(found(() => check.atTheEnd(true))).toBe('');
    expect(check.unheard).toBe(1);
    expect(found(() => check.atTheEnd(false))).toBe('unheard');
  });

  test('what nobody published, what does not match, what was changed on the way, what nobody subscribed to', () => {
    const { check, id } = subscribed(1);
    expect(found(() => check.delivered(connection, id, '9/d/p', false))).toBe('no invention');
    expect(found(() => check.delivered(connection, id, '1/d/q', false))).toBe('no invention');
    expect(found(() => check.delivered(connection, 77, '1/d/p', false))).toBe('no invention');
    const other = check.asked('c', 1, 'e/+', 5);
    expect(found(() => check.delivered(connection, other, '1/d/p', false))).toBe('no invention');
  });

  test('out of the order of its publisher; the same message over another connection is not', () => {
    const { check, id, all } = subscribed(2);
    const [first, second] = texts(all) as [string, string];
    check.delivered(connection, id, second, false);
    expect(found(() => check.delivered(connection, id, first, false))).toBe('order of delivery');
    const { check: again, id: same } = subscribed(2);
    for (const text of [first, second]) again.delivered(connection, same, text, false);
    expect(found(() => again.delivered({ connectSentMs: 50 }, same, first, true))).toBe('');
    expect(again.duplicates).toBe(1);
  });

  test('sent again under the identifier of the subscription that goes on: in its place, not late', () => {
    const { check, id, all } = subscribed(3);
    const [first, second, third] = texts(all) as [string, string, string];
    check.delivered(connection, id, first, false);
    check.doubtful(id);
    const next = check.asked('c', 1, 'd/+', 0, id);
    check.delivered(connection, next, third, false);
    const again = { connectSentMs: 50 };
    expect(found(() => check.delivered(again, next, first, true))).toBe('');
    expect(found(() => check.delivered(again, next, second, true))).toBe('order of delivery');
  });

  test('at QoS 2 a second time, whatever was done to whom', () => {
    const { check, id, all } = subscribed(1);
    const text = all[0]?.text as string;
    check.delivered(connection, id, text, false, true);
    expect(found(() => check.delivered({ connectSentMs: 50 }, id, text, true, true))).toBe('exactly once');
  });

  test('what was brought again at QoS 2 and was first brought when nobody wanted it may come late', () => {
    for (const [sentAtMs, isResent, checker] of [
      [8, true, ''],
      [8, false, 'order of delivery'],
      [20, true, 'order of delivery'],
    ] as const) {
      const { check, id } = subscribed(0);
      const late = publish(check, 1, sentAtMs);
      const next = publish(check, 2, 30);
      if (isResent) check.resent(late.id);
      check.delivered(connection, id, next.text, false, true);
      expect(found(() => check.delivered(connection, id, late.text, false, true))).toBe(checker);
    }
  });

  test('what was brought again at QoS 2 and was first brought where the subscription was not known may come late', () => {
    for (const [firstStreams, isResent, checker] of [
      [[], true, ''],
      [[], false, 'order of delivery'],
      [['1 d/+'], true, 'order of delivery'],
    ] as const) {
      const { check, id } = subscribed(0);
      const late = publish(check, 1, 20, new Set(firstStreams));
      const next = publish(check, 2, 30);
      if (isResent) check.resent(late.id);
      check.routed(late.id, new Set(['1 d/+']));
      check.delivered(connection, id, next.text, false, true);
      expect(found(() => check.delivered(connection, id, late.text, false, true))).toBe(checker);
    }
  });

  test('what was brought again is owed to who was known each time', () => {
    for (const [first, again, isOwed] of [
      [['1 d/+'], ['1 d/+'], true],
      [[], ['1 d/+'], false],
      [['1 d/+'], [], false],
    ] as const) {
      const { check } = subscribed(0);
      const { id } = publish(check, 1, 20, new Set(first));
      check.resent(id);
      check.routed(id, new Set(again));
      expect([...check.owed('c')].length).toBe(isOwed ? 1 : 0);
    }
  });

  test('twice over one connection', () => {
    const { check, id, all } = subscribed(1);
    check.delivered(connection, id, all[0]?.text as string, false);
    expect(found(() => check.delivered(connection, id, all[0]?.text as string, true))).toBe('twice');
  });

  test('again after it was acknowledged and the client left in order: found where nothing was done to anybody', () => {
    for (const [isStrict, checker] of [
      [true, 'duplicate without a fault'],
      [false, ''],
    ] as const) {
      const { check, id, all } = subscribed(1, isStrict);
      const text = all[0]?.text as string;
      check.settled(id, check.delivered(connection, id, text, false));
      expect(found(() => check.delivered({ connectSentMs: 50 }, id, text, false))).toBe(checker);
    }
  });

  test('from before it was subscribed to, after UNSUBACK, of a session that was over', () => {
    const check = new SessionCheck(() => false);
    publish(check, 1, 1);
    const id = check.asked('c', 1, 'd/+', 5);
    expect(found(() => check.delivered(connection, id, '1/d/p', false))).toBe('before its time');
    const { check: left, id: leaver } = subscribed(2);
    left.left(leaver, 25);
    expect(found(() => left.delivered(connection, leaver, '1/d/p', false))).toBe('');
    expect(found(() => left.delivered(connection, leaver, '2/d/p', false))).toBe('unsubscribed');
    const { check: over, id: ended } = subscribed(1);
    over.gone(ended, { connectSentMs: 15 }, 18);
    expect(found(() => over.delivered({ connectSentMs: 18 }, ended, '1/d/p', false))).toBe('session');
    expect(found(() => over.delivered(connection, ended, '1/d/p', false))).toBe('');
  });

  test('of a session that was over for one of two connections made at once: the other one may have had it', () => {
    const [former, clean] = [{ connectSentMs: 15 }, { connectSentMs: 15 }];
    const { check, id } = subscribed(1);
    check.gone(id, clean, 18);
    expect(found(() => check.delivered(clean, id, '1/d/p', false))).toBe('session');
    expect(found(() => check.delivered(former, id, '1/d/p', false))).toBe('');
  });

  test('a session that is gone too early, or there after a clean start', () => {
    const check = new SessionCheck(() => false);
    expect(found(() => check.present('c', false, true, false))).toBe('session');
    expect(found(() => check.present('c', true, false, true))).toBe('session');
    expect(found(() => check.present('c', true, true, false))).toBe('');
    expect(found(() => check.present('c', false, false, true))).toBe('');
  });

  test('filters mean what the specification says', () => {
    const pairs: [string, string, boolean][] = [
      ['#', 'a/b', true],
      ['a/#', 'a', true],
      ['a/+', 'a', false],
      ['a/+', 'a/b', true],
      ['a/+', 'a/b/c', false],
      ['a/b', 'a/c', false],
    ];
    for (const [filter, topic, is] of pairs)
      expect([filter, topic, covers(filter, topic)]).toEqual([filter, topic, is]);
  });
});

describe('what a client has not answered', () => {
  const [first, second] = [{ connectSentMs: 0 }, { connectSentMs: 50 }];

  test('comes again under another id, or as if it were new', () => {
    const again = (packetId: number, isAgain: boolean): string => {
      const check = new PacketIdCheck();
      check.sent(first, 3, false, 'a');
      const what = found(() => check.sent(second, packetId, isAgain, 'a'));
      expect(check.kept).toBe(what === '' ? 1 : 0);
      return what;
    };
    expect([again(3, true), again(4, true), again(3, false)]).toEqual(['', 'packet id kept', 'packet id kept']);
  });

  test('shares its id with another one; answered it is another matter', () => {
    const check = new PacketIdCheck();
    check.sent(second, 3, false, 'a');
    expect(found(() => check.sent(second, 3, false, undefined))).toBe('packet id in use');
    expect(found(() => check.sent(second, 4, true, 'a'))).toBe('sent again');
    check.answered(second, 3);
    expect(found(() => check.sent(second, 3, false, 'b'))).toBe('');
    expect(found(() => check.sent({ connectSentMs: 90 }, 9, false, 'a'))).toBe('');
  });

  test('has one id over two connections, also where the former one is late or both were made at once', () => {
    const over = (former: SessionConnection, packetId: number, isAgain: boolean): string => {
      const check = new PacketIdCheck();
      check.sent(second, 3, false, 'a');
      return found(() => check.sent(former, packetId, isAgain, 'a'));
    };
    expect([over(first, 3, false), over(first, 4, false)]).toEqual(['', 'packet id kept']);
    const atOnce = { connectSentMs: 50 };
    expect([over(atOnce, 3, true), over(atOnce, 4, true), over(atOnce, 3, false)]).toEqual([
      '',
      'packet id kept',
      'packet id kept',
    ]);
  });
});

describe('what a client has, and the broker has not released', () => {
  const [first, second] = [{ connectSentMs: 0 }, { connectSentMs: 50 }];
  const came = (
    ids: TakenIds,
    connection: SessionConnection,
    what: string,
    { atMs = 60, isAgain = true, isNewest = true } = {},
  ): boolean => ids.came({ connection, packetId: 3, what, isAgain, isNewest }, atMs);

  test('comes again over another connection, with DUP, and once', () => {
    const ids = new TakenIds();
    expect(came(ids, first, 'a', { atMs: 10, isAgain: false })).toBe(false);
    expect(found(() => came(ids, first, 'a', { atMs: 20 }))).toBe('sent again');
    expect(found(() => came(ids, second, 'a', { isAgain: false }))).toBe('packet id kept');
    expect(came(ids, second, 'a')).toBe(true);
  });

  test('is no other message until it is released', () => {
    const ids = new TakenIds();
    came(ids, first, 'a', { atMs: 10, isAgain: false });
    expect(found(() => came(ids, second, 'b'))).toBe('packet id in use');
    expect(found(() => came(ids, first, 'b', { atMs: 20 }))).toBe('packet id in use');
    ids.released(3);
    expect(came(ids, second, 'b', { isAgain: false })).toBe(false);
  });

  test('or it was late, over a connection that had been overtaken', () => {
    const ids = new TakenIds();
    came(ids, first, 'a', { atMs: 55, isAgain: false, isNewest: false });
    expect(came(ids, second, 'b', { isAgain: false })).toBe(false);
    expect(came(ids, first, 'c', { isNewest: false })).toBe(false);
    expect(found(() => came(ids, second, 'c', { atMs: 70 }))).toBe('packet id in use');
  });
});

describe('what is retained', () => {
  test('an older value than the last that was acknowledged; one nobody answered may come late', () => {
    const check = new RetainedCheck();
    for (const id of [1, 2, 3]) check.published('t', id, `v${id}`);
    check.acknowledged('t', 1, 10);
    check.acknowledged('t', 3, 30);
    expect(found(() => check.replayed('c', 't', 'v1', 20))).toBe('');
    expect(found(() => check.replayed('c', 't', 'v3', 20))).toBe('');
    expect(found(() => check.replayed('c', 't', 'v2', 40))).toBe('');
    expect(found(() => check.replayed('c', 't', 'v1', 40))).toBe('retained');
    expect(found(() => check.replayed('c', 't', 'v9', 40))).toBe('no invention');
    expect(found(() => check.replayed('c', 'u', 'v1', 40))).toBe('no invention');
  });

  test('what must be there in the end', () => {
    const check = new RetainedCheck();
    check.published('t', 1, 'v1');
    expect(check.due(50)).toEqual([]);
    check.acknowledged('t', 1, 10);
    expect(check.due(50)).toEqual(['t']);
    check.published('t', 2, '');
    expect(check.due(50)).toEqual([]);
    check.acknowledged('t', 2, 20);
    expect(check.due(50)).toEqual([]);
    expect(found(() => check.replayed('c', 't', 'v1', 50))).toBe('retained');
  });

  test('what comes live stands in for what was kept, unless it is older', () => {
    const check = new RetainedCheck();
    for (const id of [1, 2, 3]) check.published('t', id, `v${id}`);
    check.acknowledged('t', 1, 10);
    check.acknowledged('t', 2, 20);
    expect(check.due(50)).toEqual(['t']);
    expect(check.standsIn('t', 'v1', 50)).toBe(false);
    expect(check.standsIn('t', 'v2', 50)).toBe(true);
    expect(check.standsIn('t', 'v3', 50)).toBe(true);
    check.acknowledged('t', 3, 60);
    expect(check.standsIn('t', 'v3', 50)).toBe(true);
    expect(check.standsIn('t', 'v2', 70)).toBe(false);
    // It went after the SUBSCRIBE.
    check.published('t', 4, '');
    expect(check.standsIn('t', '', 70)).toBe(true);
    expect(check.standsIn('t', 'v9', 50)).toBe(false);
    expect(check.standsIn('u', 'v1', 50)).toBe(false);
  });
});

describe('one connection has a session', () => {
  test('a store brings nothing to an older one, in whatever order its words arrive', () => {
    const said = new EpochCheck();
    said.given('s1', 'c', 1, 10, 'g1');
    said.brought('s1', 'c', 1, 15);
    said.given('s1', 'c', 2, 20, 'g2');
    expect(found(() => said.brought('s1', 'c', 1, 19))).toBe('');
    expect(found(() => said.brought('s1', 'c', 2, 21))).toBe('');
    expect(found(() => said.brought('s2', 'c', 1, 21))).toBe('');
    expect(found(() => said.brought('s1', 'c', 1, 21))).toBe('epoch');
    const late = new EpochCheck();
    late.brought('s1', 'c', 1, 30);
    expect(found(() => late.given('s1', 'c', 2, 20, 'g2'))).toBe('epoch');
  });

  test('an epoch is given to one gateway', () => {
    const check = new EpochCheck();
    check.given('s1', 'c', 1, 10, 'g1');
    expect(found(() => check.given('s1', 'c', 1, 11, 'g1'))).toBe('');
    expect(found(() => check.given('s2', 'c', 1, 12, 'g2'))).toBe('epoch');
  });
});
