import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { QueueState } from '../queue-state.ts';

/**
 * u8 version (2 only of a queue that erases), u8 flags, then varints: queue id, version, name (sized), [count max], [bytes max], head, tail, depth, depth
 * bytes, keys, published, published bytes, accepted, expired, overwritten, dropped (expired, purged, overflow, removed),
 * refused, returned, stale.
 */
const QUEUE_ROW_VERSION = 1;
/** Of queues that an older release must not take for ordinary ones. */
const ERASING_QUEUE_ROW_VERSION = 2;
/** Every queue of a turn writes its row. */
const scratch = new ByteWriter(128);
const IS_LAST_VALUE = 1;
const HAS_COUNT_MAX = 2;
const HAS_BYTES_MAX = 4;
const DROPS_OLDEST = 8;
const IS_REMOVED = 16;
const ERASES_EMPTY = 32;

export function encodeQueueRow(queue: QueueState): Uint8Array {
  let flags = 0;
  if (queue.isLastValue) flags |= IS_LAST_VALUE;
  if (queue.countMax !== null) flags |= HAS_COUNT_MAX;
  if (queue.bytesMax !== null) flags |= HAS_BYTES_MAX;
  if (queue.overflow === 'drop_oldest') flags |= DROPS_OLDEST;
  if (queue.isRemoved) flags |= IS_REMOVED;
  if (queue.erasesEmpty) flags |= ERASES_EMPTY;
  const version = queue.erasesEmpty ? ERASING_QUEUE_ROW_VERSION : QUEUE_ROW_VERSION;
  const writer = scratch.restart().u8(version).u8(flags);
  writer.varint(queue.queueId).varint(queue.version).text(queue.name);
  if (queue.countMax !== null) writer.varint(queue.countMax);
  if (queue.bytesMax !== null) writer.varint(queue.bytesMax);
  writer.varint(queue.head).varint(queue.tail).varint(queue.depth).varint(queue.depthBytes).varint(queue.keyCount);
  writer.varint(queue.published).varint(queue.publishedBytes).varint(queue.accepted).varint(queue.expired);
  writer.varint(queue.overwritten).varint(queue.droppedExpired).varint(queue.droppedPurged);
  writer.varint(queue.droppedOverflow).varint(queue.droppedRemoved);
  return writer.varint(queue.refused).varint(queue.returned).varint(queue.stale).finish();
}

export function decodeQueueRow(value: Uint8Array): QueueState {
  const reader = new ByteReader(value);
  const version = reader.u8();
  if (version !== QUEUE_ROW_VERSION && version !== ERASING_QUEUE_ROW_VERSION) {
    throw new SluiceError('ROW_UNKNOWN', `queue row of version ${version}`, {
      hint: 'this node runs an older release than the one that wrote its data: upgrade it',
    });
  }
  const flags = reader.u8();
  const queue = new QueueState({
    queueId: reader.varint(),
    version: reader.varint(),
    name: reader.text(),
    isLastValue: (flags & IS_LAST_VALUE) !== 0,
    countMax: flags & HAS_COUNT_MAX ? reader.varint() : null,
    bytesMax: flags & HAS_BYTES_MAX ? reader.varint() : null,
    overflow: flags & DROPS_OLDEST ? 'drop_oldest' : 'refuse',
    erasesEmpty: (flags & ERASES_EMPTY) !== 0,
  });
  queue.isRemoved = (flags & IS_REMOVED) !== 0;
  queue.head = reader.varint();
  queue.tail = reader.varint();
  queue.depth = reader.varint();
  queue.depthBytes = reader.varint();
  queue.keyCount = reader.varint();
  queue.published = reader.varint();
  queue.publishedBytes = reader.varint();
  queue.accepted = reader.varint();
  queue.expired = reader.varint();
  queue.overwritten = reader.varint();
  queue.droppedExpired = reader.varint();
  queue.droppedPurged = reader.varint();
  queue.droppedOverflow = reader.varint();
  queue.droppedRemoved = reader.varint();
  queue.refused = reader.varint();
  queue.returned = reader.varint();
  queue.stale = reader.varint();
  if (reader.remaining !== 0) throw new SluiceError('BYTES_MALFORMED', `${reader.remaining} bytes after a queue row`);
  return queue;
}
