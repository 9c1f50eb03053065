import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DELIVERY_IDS, deliveryPacketId } from '../../src/session/delivery-packet-id.ts';
import { STREAM_ID_MIN } from '../../src/session/stream-id.ts';

const streamId = fc.nat().map((number) => STREAM_ID_MIN + 1 + number);
const offset = fc.nat({ max: Number.MAX_SAFE_INTEGER - 1_000 });

test('packet ids of deliveries are those that other releases find', () => {
  const places: [number, number][] = [
    [STREAM_ID_MIN + 1, 0],
    [STREAM_ID_MIN + 1, 1],
    [STREAM_ID_MIN + 1, 57_331],
    [STREAM_ID_MIN + 2, 0],
    [STREAM_ID_MIN + 2 ** 40, 2 ** 50],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ];
  expect(places.map(([stream, at]) => deliveryPacketId(stream, at))).toEqual(GOLDEN);
});

/** Never edited: clients were sent messages under them. */
const GOLDEN = [39_277, 238, 39_277, 17_383, 44_744, 24_251];

test('of one stream none comes again within as many as there are', () => {
  fc.assert(
    fc.property(streamId, offset, fc.integer({ min: 1, max: DELIVERY_IDS - 1 }), (stream, from, distance) => {
      const id = deliveryPacketId(stream, from);
      expect(id).toBeGreaterThanOrEqual(1);
      expect(id).toBeLessThanOrEqual(DELIVERY_IDS);
      expect(Number.isInteger(id)).toBe(true);
      expect(deliveryPacketId(stream, from + (distance % 1_000))).not.toBe(distance % 1_000 === 0 ? 0 : id);
    }),
  );
  const all = Array.from({ length: DELIVERY_IDS }, (_, at) => deliveryPacketId(STREAM_ID_MIN + 77, 1_000 + at));
  expect(new Set(all).size).toBe(DELIVERY_IDS);
});

test('two streams that begin one after the other and are fed alike do not go side by side', () => {
  fc.assert(
    fc.property(streamId, offset, fc.integer({ min: 1, max: 1_000 }), (stream, from, apart) => {
      const windowOf = (id: number): number[] => Array.from({ length: 256 }, (_, i) => deliveryPacketId(id, from + i));
      const first = new Set(windowOf(stream));
      // By chance it were one.
      expect(windowOf(stream + apart).filter((id) => first.has(id)).length).toBeLessThan(32);
    }),
  );
});
