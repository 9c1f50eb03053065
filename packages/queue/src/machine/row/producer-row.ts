import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { readU53 } from '../../record/byte-cursor.ts';
import { BATCH_RECORDS_MAX } from '../../record/record-format.ts';
import type { Refusal, RefusalCode } from '../apply/apply-reply.ts';
import type { Producer, RememberedRefusals } from '../apply/producers.ts';

/**
 * u8 version, then varints: last, index, forgotten to; then to the end of the row, by batch with refusals: last -
 * sequence, count of runs, runs of (first slot, records, queue id, u8 code). A full queue refuses slot after slot, and
 * the row is written with each turn.
 */
const PRODUCER_ROW_VERSION = 1;
/** Numbers are never reused. */
const REFUSAL_CODES: readonly RefusalCode[] = ['queue-full', 'queue-unknown', 'queue-removed'];

/** Every batch that is stored writes one. */
const scratch = new ByteWriter(32);

interface Run extends Refusal {
  count: number;
}

export function encodeProducerRow(producer: Producer): Uint8Array {
  const writer = scratch.restart().u8(PRODUCER_ROW_VERSION);
  writer.varint(producer.last).varint(producer.index).varint(producer.forgottenTo);
  for (const { sequence, refused } of producer.refusals) {
    const runs = runsOf(refused);
    writer.varint(producer.last - sequence).varint(runs.length);
    for (const { slot, count, queueId, code } of runs) {
      writer.varint(slot).varint(count).varint(queueId).u8(REFUSAL_CODES.indexOf(code));
    }
  }
  return writer.finish();
}

export function decodeProducerRow(key: Uint8Array, value: Uint8Array): Producer {
  const reader = new ByteReader(value);
  const version = reader.u8();
  if (version !== PRODUCER_ROW_VERSION) {
    throw new SluiceError('ROW_UNKNOWN', `producer row of version ${version}`, {
      hint: 'this node runs an older release than the one that wrote its data: upgrade it',
    });
  }
  const last = reader.varint();
  const index = reader.varint();
  const forgottenTo = reader.varint();
  const refusals: RememberedRefusals[] = [];
  let refusalCount = 0;
  while (reader.remaining > 0) {
    const sequence = last - reader.varint();
    const refused: Refusal[] = [];
    for (let runs = reader.varint(); runs > 0; runs--) {
      const slot = reader.varint();
      const count = reader.varint();
      const queueId = reader.varint();
      const code = REFUSAL_CODES[reader.u8()];
      if (code === undefined || slot + count > BATCH_RECORDS_MAX) {
        throw new SluiceError('BYTES_MALFORMED', `a producer row with ${count} refusals from slot ${slot} on`);
      }
      for (let i = 0; i < count; i++) refused.push({ slot: slot + i, queueId, code });
    }
    refusals.push({ sequence, refused });
    refusalCount += refused.length;
  }
  const id = readU53(key, 1);
  return { id, last, index, forgottenTo, refusals, refusalCount, rowName: undefined, isDirty: false };
}

function runsOf(refused: readonly Refusal[]): Run[] {
  const runs: Run[] = [];
  for (const { slot, queueId, code } of refused) {
    const run = runs.at(-1);
    if (run !== undefined && run.slot + run.count === slot && run.queueId === queueId && run.code === code) run.count++;
    else runs.push({ slot, count: 1, queueId, code });
  }
  return runs;
}
