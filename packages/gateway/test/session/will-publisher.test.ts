import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { willPublish } from '@sluice/mqtt/protocol/will';
import fc from 'fast-check';
import { anonymousAuthenticator } from '../../src/auth/authenticator.ts';
import { GatewayMetrics } from '../../src/gateway-metrics.ts';
import type { PendingPublish, Publisher } from '../../src/publish/durable-publish.ts';
import { decodeWillMessage, encodeWillMessage, type WillMessage } from '../../src/session/will-message.ts';
import { WillPublisher } from '../../src/session/will-publisher.ts';

const SUBJECT = { user: 'ann', clientId: 'c', peerHost: '10.0.0.1', isSuperuser: false };
const PUBLISHER: Publisher = {
  clientId: 'c',
  username: 'ann',
  peerHost: '10.0.0.1',
  peerName: '10.0.0.1:5',
  protocolVersion: 5,
};

function willOf(topic: string, payload = 'gone'): WillMessage {
  const packet = willPublish({ topic, payload: Buffer.from(payload), qos: 1, retain: false });
  return { packet, publisher: PUBLISHER, subject: SUBJECT };
}

describe('a will as it is stored', () => {
  test('comes back as it was', () => {
    const name = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !text.includes('\0'));
    const maybe = fc.option(name, { nil: undefined });
    const properties = fc.record(
      {
        payloadFormatIndicator: fc.constantFrom(0 as const, 1 as const),
        messageExpiryIntervalS: fc.nat(),
        contentType: name,
        responseTopic: fc.constantFrom('a', 'b/c'),
        correlationData: fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
        userProperties: fc.array(fc.tuple(name, name), { minLength: 1, maxLength: 3 }).map((pairs) => pairs.flat()),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.record({
          topic: fc.constantFrom('t', 'a/b', 'ü/☃'),
          payload: fc.uint8Array({ maxLength: 300, size: 'max' }).map((bytes) => Buffer.from(bytes)),
          qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
          retain: fc.boolean(),
          properties: properties.filter((each) => Object.keys(each).length > 0),
        }),
        fc.record({ user: maybe, isSuperuser: fc.boolean(), peerHost: name }),
        fc.record({ username: maybe, peerName: name, protocolVersion: fc.constantFrom(4 as const, 5 as const) }),
        (will, subject, publisher) => {
          const { peerHost } = subject;
          const message: WillMessage = {
            packet: willPublish(will),
            subject: { ...subject, clientId: 'c' },
            publisher: { ...publisher, peerHost, clientId: 'c' },
          };
          expect(decodeWillMessage('c', encodeWillMessage(message))).toEqual(message);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('has the bytes it always had', () => {
    const bytes = encodeWillMessage(willOf('last/words'));
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '010e03616e6e03616e6e0831302e302e302e310a31302e302e302e313a35321300' + '0a6c6173742f776f726473000100676f6e65',
    );
  });

  test('of a newer release is refused', () => {
    const bytes = encodeWillMessage(willOf('t'));
    bytes[0] = 2;
    expect(() => decodeWillMessage('c', bytes)).toThrow('a will of version 2');
  });
});

describe('the publisher of wills', () => {
  let published: { packet: PublishPacket; pending: PendingPublish | undefined; group: string }[];
  let group: string;
  let done: string[];
  let denied: ReadonlySet<string>;
  let superusers: ReadonlySet<string>;
  let publisher: WillPublisher;
  const metrics = new PlainMetrics();
  beforeEach(() => {
    published = [];
    group = 'none';
    done = [];
    denied = new Set();
    superusers = new Set(['ann']);
    publisher = new WillPublisher({
      groups: {
        begin: (partition, number) => {
          group = `${partition}/${number}`;
        },
        end: () => {
          group = 'none';
        },
      },
      ingress: {
        publish: (packet: PublishPacket, _publisher: Publisher, pending: PendingPublish | undefined) => {
          if (packet.topic === 'unheard-of') throw new Error('cannot be kept');
          published.push({ packet, pending, group });
        },
      } as never,
      authenticator: { ...anonymousAuthenticator, isSuperuser: (user) => superusers.has(user) },
      authorizer: {
        admit: ({ isSuperuser }) => ({
          mayPublish: (topic) => isSuperuser || !denied.has(topic),
          mayRead: () => true,
        }),
        onChange: () => {},
      },
      clock: { nowMs: () => 1, monotonicMs: () => 1 },
      logger: silentLogger,
      metrics: new GatewayMetrics(metrics),
    });
  });

  function ask(partition: number, number: number, ...topics: string[]): void {
    const wills = topics.map((topic) => ({ clientId: 'c', message: encodeWillMessage(willOf(topic)) }));
    publisher.publishWills(partition, number, wills, () => done.push(`${partition}/${number}`));
  }
  const topics = (): string[] => published.map(({ packet }) => packet.topic);
  const answer = (n: number, code = 0): void => published[n]?.pending?.complete(code);

  test('says that a group is done when all of it is stored, or refused', () => {
    ask(1, 5, 'a', 'b');
    expect(published.map((each) => each.group)).toEqual(['1/5', '1/5']);
    answer(1, 0x97);
    answer(1);
    expect(done).toEqual([]);
    answer(0);
    expect(done).toEqual(['1/5']);
  });

  test('publishes nothing twice, however often it is asked, and says again what is done', () => {
    ask(1, 5, 'a');
    ask(1, 5, 'a');
    expect([topics(), done]).toEqual([['a'], []]);
    answer(0);
    ask(1, 5, 'a');
    expect([topics(), done]).toEqual([['a'], ['1/5', '1/5']]);
    ask(1, 4, 'older');
    ask(2, 5, 'of another partition');
    expect([topics(), done]).toEqual([
      ['a', 'of another partition'],
      ['1/5', '1/5'],
    ]);
  });

  test('asks the rules of now, and is done with what they forbid', () => {
    denied = new Set(['b']);
    ask(1, 5, 'a', 'b');
    expect(topics()).toEqual(['a']);
    answer(0);
    expect(done).toEqual(['1/5']);
    expect(metrics.counter('sluice_gateway_denied_total', '', { action: 'will' }).value).toBe(1);
  });

  test('takes who left it for the superuser that it is now, not that it was', () => {
    denied = new Set(['a', 'b']);
    const askAsSuperuser = (number: number, topic: string): void => {
      const will = { ...willOf(topic), subject: { ...SUBJECT, isSuperuser: true } };
      publisher.publishWills(1, number, [{ clientId: 'c', message: encodeWillMessage(will) }], () => {});
    };
    askAsSuperuser(5, 'a');
    superusers = new Set();
    askAsSuperuser(6, 'b');
    expect(topics()).toEqual(['a']);
  });

  test('does not stand still for one that cannot be published', () => {
    const message = Buffer.from('no will at all');
    publisher.publishWills(3, 1, [{ clientId: 'c', message }], () => done.push('3/1'));
    ask(1, 5, 'unheard-of', 'a');
    answer(0);
    expect([topics(), done]).toEqual([['a'], ['3/1', '1/5']]);
  });

  test('takes nothing more when its gateway ends', () => {
    publisher.close();
    ask(1, 5, 'a');
    expect([topics(), done]).toEqual([[], []]);
  });
});
