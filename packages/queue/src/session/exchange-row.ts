import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { type BoundState, Exchanges } from './exchanges.ts';

const VERSION = 1;
/** Numbers are never reused. */
const STATES: readonly BoundState[] = ['sent-qos1', 'sent-qos2', 'received'];

/**
 * u8 version, then varints: epoch, serial, how many are taken, (packet id, number less the one before) each; then to the
 * end: packet id, u8 state, and, unless it is received, stream id and offset.
 */
export function encodeExchangeRow({ epoch, serial, taken, bound }: Exchanges): Uint8Array {
  const writer = new ByteWriter(64).u8(VERSION).varint(epoch).varint(serial).varint(taken.size);
  let before = 0;
  for (const [packetId, number] of taken) {
    writer.varint(packetId).varint(number - before);
    before = number;
  }
  for (const { packetId, state, streamId, offset } of bound.values()) {
    writer.varint(packetId).u8(STATES.indexOf(state));
    if (state !== 'received') writer.varint(streamId).varint(offset);
  }
  return writer.finish();
}

export function decodeExchangeRow(value: Uint8Array): Exchanges {
  const reader = new ByteReader(value);
  const version = reader.u8();
  if (version !== VERSION) throw unknown(`exchange row of version ${version}`);
  const exchanges = new Exchanges();
  exchanges.epoch = reader.varint();
  exchanges.serial = reader.varint();
  let before = 0;
  for (let left = reader.varint(); left > 0; left--) {
    const packetId = reader.varint();
    before += reader.varint();
    exchanges.taken.set(packetId, before);
  }
  while (reader.remaining > 0) {
    const packetId = reader.varint();
    const state = STATES[reader.u8()];
    if (state === undefined) throw unknown('exchange row with a state that is not known');
    const streamId = state === 'received' ? 0 : reader.varint();
    const offset = state === 'received' ? 0 : reader.varint();
    exchanges.bound.set(packetId, { packetId, state, streamId, offset });
  }
  return exchanges;
}

function unknown(what: string): SluiceError {
  return new SluiceError('ROW_UNKNOWN', what, {
    hint: 'this node runs an older release than the one that wrote its data: upgrade it',
  });
}
