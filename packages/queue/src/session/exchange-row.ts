import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { type BoundState, Exchanges } from './exchanges.ts';

const VERSION = 1;
/** Some are refused. */
const VERSION_OF_REFUSALS = 2;
/** Numbers are never reused. */
const STATES: readonly BoundState[] = ['sent-qos1', 'sent-qos2', 'received'];

/**
 * u8 version, then varints: epoch, serial, how many are taken, (packet id, number less the one before) each; of version 2
 * how many are refused, (packet id, u8 reason code) each; then to the end: packet id, u8 state, and, unless it is received,
 * stream id and offset.
 */
export function encodeExchangeRow({ epoch, serial, taken, bound, refused }: Exchanges): Uint8Array {
  const version = refused.size === 0 ? VERSION : VERSION_OF_REFUSALS;
  const writer = new ByteWriter(64).u8(version).varint(epoch).varint(serial).varint(taken.size);
  let before = 0;
  for (const [packetId, number] of taken) {
    writer.varint(packetId).varint(number - before);
    before = number;
  }
  if (version === VERSION_OF_REFUSALS) {
    writer.varint(refused.size);
    for (const [packetId, reasonCode] of refused) writer.varint(packetId).u8(reasonCode);
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
  if (version !== VERSION && version !== VERSION_OF_REFUSALS) throw unknown(`exchange row of version ${version}`);
  const exchanges = new Exchanges();
  exchanges.epoch = reader.varint();
  exchanges.serial = reader.varint();
  let before = 0;
  for (let left = reader.varint(); left > 0; left--) {
    const packetId = reader.varint();
    before += reader.varint();
    exchanges.taken.set(packetId, before);
  }
  for (let left = version === VERSION ? 0 : reader.varint(); left > 0; left--) {
    const packetId = reader.varint();
    exchanges.refused.set(packetId, reader.u8());
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
