import fc from 'fast-check';
import type { RecordInput, RecordProperties } from '../../src/record/record.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const bytes = fc.uint8Array({ maxLength: 40 });
const time = fc.oneof(fc.nat(), fc.maxSafeNat());

/** Without undefined members: a record that comes back has none. */
const properties: fc.Arbitrary<RecordProperties> = fc.record(
  {
    payloadFormatIndicator: fc.constantFrom(0 as const, 1 as const),
    contentType: text,
    responseTopic: text,
    correlationData: bytes,
    userProperties: fc.array(fc.tuple(text, text), { maxLength: 3 }).map((pairs) => pairs.flat()),
  },
  { requiredKeys: [] },
);

export const arbitraryRecord: fc.Arbitrary<RecordInput> = fc.record({
  targets: fc.uniqueArray(
    fc.record({
      queueId: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
      key: fc.option(bytes, { nil: undefined }),
    }),
    { minLength: 1, maxLength: 4, selector: (target) => target.queueId },
  ),
  topic: text,
  payload: fc.oneof(bytes, fc.uint8Array({ minLength: 120, maxLength: 140 })),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  retain: fc.boolean(),
  publisher: text,
  publishedAtMs: time,
  expiresAtMs: fc.oneof(fc.constant(0), time),
  properties: fc.option(properties, { nil: undefined }),
  exchange: fc.option(
    fc
      .tuple(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }))
      .map(([a, b]) => ({ number: Math.max(a, b), floor: Math.min(a, b) })),
    { nil: undefined },
  ),
});
