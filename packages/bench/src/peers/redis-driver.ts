import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type {
  ConsumerLink,
  ConsumingLink,
  Driver,
  Link,
  OnEnd,
  PublisherLink,
  PublishingLink,
} from '../load/driver.ts';
import type { Inbox } from '../load/inbox.ts';
import type { Outbox } from '../load/outbox.ts';
import { STAMP_BYTES } from '../load/stamp.ts';

/**
 * A Redis stream as a queue, by ioredis: XADD, a consumer group, XACK and XDEL. A turn's commands are one pipeline,
 * which is what makes Redis fast.
 */
export const driver: Driver = {
  async publisher(link: PublisherLink, outbox: Outbox, onEnd: OnEnd): Promise<PublishingLink> {
    const redis = await open(link, onEnd);
    const payload = randomBytes(Math.max(STAMP_BYTES, link.payloadBytes));
    return {
      isWritable: true,
      send(count) {
        const pipeline = redis.pipeline();
        let first = -1;
        for (let i = 0; i < count; i++) {
          const stream = link.topics[outbox.keyOf(outbox.sent)] as string;
          const bytes = Buffer.from(payload);
          const sequence = outbox.next(bytes, 0);
          if (first === -1) first = sequence;
          pipeline.xadd(stream, '*', FIELD, bytes);
        }
        pipeline.exec().then((results) => {
          for (const [i, [error]] of (results ?? []).entries()) {
            if (error === null) outbox.acknowledged(first + i);
            else outbox.refused(first + i);
          }
          outbox.answered();
        }, onEnd);
      },
      close: async () => redis.disconnect(),
    };
  },

  async consumer(link: ConsumerLink, inbox: Inbox, onEnd: OnEnd): Promise<ConsumingLink> {
    const redis = await open(link, onEnd);
    const held = new Map<number, Buffer>();
    let done: Buffer[] = [];
    let nextTag = 0;
    let isOpen = true;
    let freed = () => {};
    const consuming: ConsumingLink = {
      acknowledge(tag) {
        const id = held.get(tag);
        held.delete(tag);
        if (id !== undefined) done.push(id);
      },
      flush() {
        if (done.length === 0) return;
        const pipeline = redis.pipeline();
        pipeline.xack(link.sources[0] as string, WORKERS, ...done);
        pipeline.xdel(link.sources[0] as string, ...done);
        done = [];
        pipeline.exec().catch(() => {});
        freed();
      },
      async close() {
        isOpen = false;
        redis.disconnect();
      },
    };
    inbox.attach(consuming);
    const read = async () => {
      while (isOpen) {
        const room = link.prefetch - held.size;
        if (room <= 0) {
          await new Promise<void>((resolve) => {
            freed = resolve;
          });
          continue;
        }
        const entries = await readEntries(redis, link, room);
        for (const [id, [, payload]] of entries) {
          held.set(++nextTag, id);
          inbox.take(payload as Buffer, nextTag, false);
        }
        inbox.turnEnds();
      }
    };
    read().catch((error: Error) => {
      if (isOpen) onEnd(error);
    });
    return consuming;
  },

  async idler(link: Link) {
    const redis = await open(link, () => {});
    return { close: async () => redis.disconnect() };
  },
};

export const WORKERS = 'workers';
const FIELD = 'm';
const BLOCK_MS = 100;

type Entry = [id: Buffer, fields: Buffer[]];

async function readEntries(redis: Redis, link: ConsumerLink, count: number): Promise<Entry[]> {
  const answer = (await redis.callBuffer(
    'XREADGROUP',
    'GROUP',
    WORKERS,
    link.clientId,
    'COUNT',
    count,
    'BLOCK',
    BLOCK_MS,
    'STREAMS',
    link.sources[0] as string,
    '>',
  )) as [Buffer, Entry[]][] | null;
  return answer?.[0]?.[1] ?? [];
}

async function open(link: Link, onEnd: OnEnd): Promise<Redis> {
  const { host, port } = link.address;
  const redis = new Redis({ host, port, protocol: 2, lazyConnect: true, retryStrategy: () => null });
  redis.on('error', onEnd);
  await redis.connect();
  redis.on('close', () => onEnd(new Error(`${link.clientId}: the connection was closed`)));
  return redis;
}
