import type { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { RetainedPlace, RetainedRequest, RetainedResponse } from '../contract/retained.ts';
import type { Codec } from './codec.ts';
import { type HeadReader, packedCodec } from './packed.ts';

export const retainedRequestCodec: Codec<RetainedRequest> = packedCodec(
  'retained request',
  ({ asks }, head, data) => {
    head.varint(asks.length);
    for (const { filter, places } of asks) {
      head.text(filter);
      writePlaces(head, data, places);
    }
  },
  (head) => ({ asks: head.list(2, () => ({ filter: head.text(), places: readPlaces(head) })) }),
);

export const retainedResponseCodec: Codec<RetainedResponse> = packedCodec(
  'retained response',
  ({ pages }, head, data) => {
    head.varint(pages.length);
    for (const { records, left, elsewhere } of pages) {
      head.varint(records.length);
      data.push(...records);
      writePlaces(head, data, left);
      head.varint(elsewhere.length);
      for (const { partition, leader } of elsewhere) head.varint(partition).varint(leader);
    }
  },
  (head) => ({
    pages: head.list(3, () => ({
      records: readRecords(head),
      left: readPlaces(head),
      elsewhere: head.list(2, () => ({ partition: head.integer(), leader: head.integer() })),
    })),
  }),
);

function writePlaces(head: ByteWriter, data: Uint8Array[], places: readonly RetainedPlace[]): void {
  head.varint(places.length);
  for (const { partition, at } of places) {
    head.varint(partition);
    data.push(at);
  }
}

function readPlaces(head: HeadReader): RetainedPlace[] {
  return head.list(1, () => ({ partition: head.integer(), at: head.data() }));
}

/** Their number takes nothing of the head: it is believed as far as there are data. */
function readRecords(head: HeadReader): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let left = head.integer(); left > 0; left--) records.push(head.data());
  return records;
}
