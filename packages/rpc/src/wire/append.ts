import type { AppendRequest, AppendResponse, AppendStatus, RefusedRecord } from '../contract/append.ts';
import { v1 } from '../gen/v1.ts';
import { type Codec, integerFor, readerOf, reading, safeInteger, uint32For, wireInvalid } from './codec.ts';

/** By their numbers in append.proto. */
const STATUSES: readonly (AppendStatus | undefined)[] = [
  undefined,
  'committed',
  'unknown',
  'not-leader',
  'storage-full',
  'busy',
  'unavailable',
  'out-of-order',
];
const REFUSALS: readonly (RefusedRecord['code'] | undefined)[] = [
  undefined,
  'queue-full',
  'queue-unknown',
  'queue-removed',
];

export const appendRequestCodec: Codec<AppendRequest> = {
  write({ sequence, partition, batch }, writer) {
    integerFor(sequence, 'sequence');
    uint32For(partition, 'partition');
    v1.AppendRequest.encode({ sequence, partition, batch }, writer);
  },
  read(bytes) {
    return reading('append request', () => {
      const request = v1.AppendRequest.decode(readerOf(bytes));
      return {
        sequence: safeInteger(request.sequence, 'sequence'),
        partition: request.partition,
        batch: request.batch,
      };
    });
  },
};

export const appendResponseCodec: Codec<AppendResponse> = {
  write(message, writer) {
    if (message.type === 'leading') {
      const { partition, term } = message;
      v1.AppendResponse.encode(
        { leading: { partition: uint32For(partition, 'partition'), term: integerFor(term, 'term') } },
        writer,
      );
      return;
    }
    const answer = {
      sequence: integerFor(message.sequence, 'sequence'),
      status: STATUSES.indexOf(message.status),
      leader: integerFor(message.leader, 'leader'),
      refused: message.refused.map(({ slot, queueId, code }) => ({
        slot: uint32For(slot, 'slot'),
        queueId: integerFor(queueId, 'queue id'),
        code: REFUSALS.indexOf(code),
      })),
    };
    v1.AppendResponse.encode({ answer }, writer);
  },
  read(bytes) {
    return reading('append response', () => {
      const { answer, leading } = v1.AppendResponse.decode(readerOf(bytes));
      if (answer && !leading) {
        const status = STATUSES[answer.status ?? 0];
        if (status === undefined) throw wireInvalid('unknown status of an append');
        return {
          type: 'answer',
          sequence: safeInteger(answer.sequence, 'sequence'),
          status,
          refused: (answer.refused ?? []).map((record) => {
            const code = REFUSALS[record.code ?? 0];
            if (code === undefined) throw wireInvalid('unknown refusal of a record');
            return { slot: record.slot ?? 0, queueId: safeInteger(record.queueId, 'queue id'), code };
          }),
          leader: safeInteger(answer.leader, 'leader'),
        };
      }
      if (leading && !answer) {
        return { type: 'leading', partition: leading.partition ?? 0, term: safeInteger(leading.term, 'term') };
      }
      throw wireInvalid('an append response holds an answer or an announcement');
    });
  },
};
