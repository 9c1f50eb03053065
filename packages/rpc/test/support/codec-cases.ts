import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Codec, encode } from '../../src/wire/codec.ts';

export const integer = fc.oneof(fc.nat(300), fc.maxSafeNat());
export const uint32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }));
export const text = fc.string({ unit: 'grapheme', maxLength: 20 });
export const bytes = fc.uint8Array({ maxLength: 40 });
export const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 4 });
export const message = (type: string, fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> =>
  fc.record({ type: fc.constant(type), ...fields });

/** What a codec is called, and everything it may be given. */
export type CodecCase = [string, Codec<unknown>, fc.Arbitrary<unknown>];

function readOrRefuse(codec: Codec<unknown>, encoded: Uint8Array): void {
  try {
    codec.read(encoded);
  } catch (error) {
    expect(error).toMatchObject({ name: 'SluiceError', code: 'WIRE_INVALID' });
  }
}

/** What holds for every codec. */
export function testCodecs(cases: readonly CodecCase[]): void {
  test.each([...cases])('%s: comes back as it was', (_, codec, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        expect(codec.read(encode(codec, value))).toEqual(value);
      }),
      { numRuns: 80 },
    );
  });

  test.each([...cases])('%s: cut short or changed, it is read or refused', (_, codec, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, fc.nat(), fc.nat(255), fc.nat(), (value, at, byte, end) => {
        const encoded = Uint8Array.from(encode(codec, value));
        if (encoded.length === 0) return;
        readOrRefuse(codec, encoded.subarray(0, end % encoded.length));
        encoded[at % encoded.length] = byte;
        readOrRefuse(codec, encoded);
      }),
      { numRuns: 150 },
    );
  });

  test.each([...cases])('%s: noise is read or refused', (_, codec) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => readOrRefuse(codec, noise)),
      { numRuns: 100 },
    );
  });
}
