import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';

/**
 * How far a partition was read, between two pages. Its bytes are given to whoever asks and come back with the next
 * question, so a store keeps nothing of readers, and another leader goes on where the former one stood: keys and offsets
 * are the same on every replica.
 */
export type RetainedPlace =
  | { in: 'start' }
  /** In the order of topics, behind this one. */
  | { in: 'keys'; after: Uint8Array }
  /** In the order of publishing, from this offset in this row on; what was published from `end` on came live. */
  | { in: 'rows'; rowBase: number; offset: number; end: number };

const KEYS = 1;
const ROWS = 2;

export function encodePlace(place: RetainedPlace): Uint8Array {
  switch (place.in) {
    case 'start':
      return new Uint8Array(0);
    case 'keys':
      return new ByteWriter(place.after.length + 1).u8(KEYS).raw(place.after).finish();
    case 'rows':
      return new ByteWriter(25).u8(ROWS).u53(place.rowBase).u53(place.offset).u53(place.end).finish();
  }
}

/** @throws SluiceError `RETAINED_PLACE_UNKNOWN` */
export function decodePlace(bytes: Uint8Array): RetainedPlace {
  if (bytes.length === 0) return { in: 'start' };
  const kind = bytes[0];
  if (kind === KEYS) return { in: 'keys', after: bytes.slice(1) };
  if (kind === ROWS && bytes.length === 25) {
    const reader = new ByteReader(bytes, 1);
    return { in: 'rows', rowBase: reader.u53(), offset: reader.u53(), end: reader.u53() };
  }
  throw new SluiceError('RETAINED_PLACE_UNKNOWN', 'a place in the retained messages that no store has given', {
    hint: 'the sender runs another version of Sluice',
  });
}
