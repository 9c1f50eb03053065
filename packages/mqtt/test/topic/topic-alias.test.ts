import { describe, expect, test } from '@jest/globals';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { InboundTopicAliases, OUTBOUND_ALIASES_MAX, OutboundTopicAliases } from '@sluice/mqtt/topic/topic-alias';
import fc from 'fast-check';

describe('aliases of a client', () => {
  test('are defined, used and redefined', () => {
    const aliases = new InboundTopicAliases(2);
    expect(aliases.resolve(2, 'a')).toBe('a');
    expect(aliases.resolve(2, '')).toBe('a');
    expect(aliases.resolve(2, 'b')).toBe('b');
    expect(aliases.resolve(2, '')).toBe('b');
  });

  test('outside of what was announced, or not defined, end the connection', () => {
    const aliases = new InboundTopicAliases(2);
    expect(aliases.resolve(0, 'a')).toBe(ReasonCode.TOPIC_ALIAS_INVALID);
    expect(aliases.resolve(3, 'a')).toBe(ReasonCode.TOPIC_ALIAS_INVALID);
    expect(aliases.resolve(1, '')).toBe(ReasonCode.PROTOCOL_ERROR);
    expect(new InboundTopicAliases(0).resolve(1, 'a')).toBe(ReasonCode.TOPIC_ALIAS_INVALID);
  });
});

describe('aliases towards a client', () => {
  test('are not drawn when it wants none', () => expect(new OutboundTopicAliases(0).draw('a')).toBe(0));

  test('are bounded, whatever the client allows', () => {
    const aliases = new OutboundTopicAliases(65_535);
    const drawn = Array.from({ length: 1_000 }, (_, i) => Math.abs(aliases.draw(`t/${i}`)));
    expect(Math.max(...drawn)).toBe(OUTBOUND_ALIASES_MAX);
  });

  test('the least recently used topic gives way', () => {
    const aliases = new OutboundTopicAliases(2);
    expect([aliases.draw('a'), aliases.draw('b'), aliases.draw('a'), aliases.draw('c')]).toEqual([-1, -2, 1, -2]);
    expect([aliases.draw('a'), aliases.draw('b')]).toEqual([1, -2]);
  });

  test('a client that follows them always ends up with the topic that was meant', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')),
        (max, sent) => {
          const ours = new OutboundTopicAliases(max);
          const theirs = new InboundTopicAliases(max);
          for (const topic of sent) {
            const alias = ours.draw(topic);
            expect(theirs.resolve(Math.abs(alias), alias > 0 ? '' : topic)).toBe(topic);
          }
        },
      ),
      { seed: 1120 },
    );
  });
});
