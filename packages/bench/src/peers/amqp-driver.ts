import { randomBytes } from 'node:crypto';
import amqp, { type ChannelModel, type ConsumeMessage } from 'amqplib';
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
import { Soon } from './soon.ts';

/** AMQP 0.9.1 by amqplib: persistent messages with publisher confirms, one acknowledgement a message. */
export const driver: Driver = {
  async publisher(link: PublisherLink, outbox: Outbox, onEnd: OnEnd): Promise<PublishingLink> {
    const connection = await open(link, onEnd);
    const channel = await connection.createConfirmChannel();
    channel.on('error', onEnd);
    const payload = randomBytes(Math.max(STAMP_BYTES, link.payloadBytes));
    const soon = new Soon(() => outbox.answered());
    let isWritable = true;
    /** Of the answers: a tag says that it and all before it are meant, or it alone. */
    let next = 1;
    const answered = (tag: number, multiple: boolean, isRefused: boolean) => {
      for (let each = multiple ? next : tag; each <= tag; each++) {
        if (isRefused) outbox.refused(each - 1);
        else outbox.acknowledged(each - 1);
      }
      next = Math.max(next, tag + 1);
      soon.ask();
    };
    channel.on('ack', ({ deliveryTag, multiple }) => answered(deliveryTag, multiple, false));
    channel.on('nack', ({ deliveryTag, multiple }) => answered(deliveryTag, multiple, true));
    channel.on('drain', () => {
      isWritable = true;
      soon.ask();
    });
    return {
      get isWritable() {
        return isWritable;
      },
      send(count) {
        for (let i = 0; i < count; i++) {
          const queue = link.topics[outbox.keyOf(outbox.sent)] as string;
          const bytes = Buffer.from(payload);
          outbox.next(bytes, 0);
          if (!channel.publish('', queue, bytes, PERSISTENT)) isWritable = false;
        }
      },
      close: () => connection.close().catch(() => {}),
    };
  },

  async consumer(link: ConsumerLink, inbox: Inbox, onEnd: OnEnd): Promise<ConsumingLink> {
    const connection = await open(link, onEnd);
    const channel = await connection.createChannel();
    channel.on('error', onEnd);
    await channel.prefetch(link.prefetch);
    const soon = new Soon(() => inbox.turnEnds());
    const tagged = { fields: { deliveryTag: 0 } };
    const consuming: ConsumingLink = {
      acknowledge(tag) {
        tagged.fields.deliveryTag = tag;
        // Of a message the library reads its tag only.
        channel.ack(tagged as ConsumeMessage);
      },
      flush() {},
      close: () => connection.close().catch(() => {}),
    };
    inbox.attach(consuming);
    await channel.consume(link.sources[0] as string, (message) => {
      if (message === null) {
        onEnd(new Error(`${link.clientId}: the broker cancelled the consumer`));
        return;
      }
      inbox.take(message.content, message.fields.deliveryTag, message.fields.redelivered);
      soon.ask();
    });
    return consuming;
  },

  async idler(link: Link) {
    const connection = await open(link, () => {});
    return { close: () => connection.close().catch(() => {}) };
  },
};

const PERSISTENT = { persistent: true };

async function open(link: Link, onEnd: OnEnd): Promise<ChannelModel> {
  const { host, port } = link.address;
  const connection = await amqp.connect({ hostname: host, port, heartbeat: 0 }, { noDelay: true });
  connection.on('error', onEnd);
  connection.on('close', () => onEnd(new Error(`${link.clientId}: the connection was closed`)));
  return connection;
}
