import { randomBytes } from 'node:crypto';
import { type Consumer, type JsMsg, jetstream } from '@nats-io/jetstream';
import { connect, createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node';
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

/**
 * NATS by its own library. With `jetstream`, a publisher asks for an answer to each message and keeps its window open
 * as the library's `publish` would, without a promise a message; a consumer pulls. Without, it is plain NATS, where
 * nobody answers.
 */
export const driver: Driver = {
  async publisher(link: PublisherLink, outbox: Outbox, onEnd: OnEnd): Promise<PublishingLink> {
    const connection = await open(link, onEnd);
    const payload = randomBytes(Math.max(STAMP_BYTES, link.payloadBytes));
    const isAnswered = link.options.jetstream === true;
    const inbox = `${createInbox()}.`;
    const soon = new Soon(() => outbox.answered());
    if (isAnswered) {
      connection.subscribe(`${inbox}*`, {
        callback: (error, message) => {
          const sequence = Number(message.subject.slice(inbox.length));
          if (error !== null || isRefusal(message)) outbox.refused(sequence);
          else outbox.acknowledged(sequence);
          soon.ask();
        },
      });
      await connection.flush();
    }
    return {
      isWritable: true,
      send(count) {
        for (let i = 0; i < count; i++) {
          const subject = link.topics[outbox.keyOf(outbox.sent)] as string;
          // The library keeps a reference until it writes.
          const bytes = Buffer.from(payload);
          const sequence = outbox.next(bytes, 0);
          if (isAnswered) connection.publish(subject, bytes, { reply: inbox + sequence });
          else {
            connection.publish(subject, bytes);
            outbox.acknowledged(sequence);
          }
        }
      },
      close: () => connection.close(),
    };
  },

  async consumer(link: ConsumerLink, inbox: Inbox, onEnd: OnEnd): Promise<ConsumingLink> {
    const connection = await open(link, onEnd);
    const held = new Map<number, JsMsg>();
    let isOpen = true;
    const soon = new Soon(() => inbox.turnEnds());
    const consuming: ConsumingLink = {
      acknowledge(tag) {
        held.get(tag)?.ack();
        held.delete(tag);
      },
      flush() {},
      async close() {
        isOpen = false;
        await connection.close();
      },
    };
    inbox.attach(consuming);
    if (link.options.jetstream !== true) {
      connection.subscribe(link.sources[0] as string, {
        callback: (_error, message) => {
          inbox.take(message.data, 0, false);
          soon.ask();
        },
      });
      await connection.flush();
      return consuming;
    }
    const consumer = await jetstream(connection).consumers.get(link.sources[0] as string, WORKERS);
    let tag = 0;
    const take = (message: JsMsg) => {
      held.set(++tag, message);
      inbox.take(message.data, tag, message.redelivered);
      soon.ask();
    };
    if (link.prefetch > 1) await consumer.consume({ max_messages: link.prefetch, callback: take });
    else {
      oneByOne(
        consumer,
        take,
        () => held.size === 0,
        () => isOpen,
      ).catch((error: Error) => {
        if (isOpen) onEnd(error);
      });
    }
    return consuming;
  },

  async idler(link: Link) {
    const connection = await open(link, () => {});
    return { close: () => connection.close() };
  },
};

/** `consume` asks for more when a message has come; a worker that takes one at a time asks when it has done with it. */
async function oneByOne(
  consumer: Consumer,
  take: (message: JsMsg) => void,
  isFree: () => boolean,
  isOpen: () => boolean,
): Promise<void> {
  while (isOpen()) {
    const message = await consumer.next({ expires: PULL_MS });
    if (message === null) continue;
    take(message);
    while (!isFree() && isOpen()) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The least the server allows. */
const PULL_MS = 1_000;

/** The one consumer of a stream that all workers share. */
const WORKERS = 'workers';

async function open(link: Link, onEnd: OnEnd): Promise<NatsConnection> {
  const { host, port } = link.address;
  const connection = await connect({ servers: `${host}:${port}`, name: link.clientId, reconnect: false });
  void connection.closed().then((error) => onEnd(error ?? new Error(`${link.clientId}: the connection was closed`)));
  return connection;
}

function isRefusal(message: Msg): boolean {
  return message.headers?.code === 503 || message.string().includes('"error"');
}
