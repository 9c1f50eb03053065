import type { RecordProperties } from '@sluice/queue/record/record';
import type {
  QueueAttachment,
  QueueConsumer,
  QueueDelivery,
  QueueReference,
  QueueSubscriptions,
} from '../../src/deliver/queue-subscriptions.ts';

/** One consumer as the queue sees it. Everything it was told is written down. */
class MemoryAttachment implements QueueAttachment {
  readonly reference: QueueReference;
  readonly consumer: QueueConsumer;
  readonly log: string[] = [];
  window: number;
  detached = false;
  #offset = 0;

  constructor(reference: QueueReference, consumer: QueueConsumer) {
    this.reference = reference;
    this.consumer = consumer;
    this.window = consumer.window;
  }

  accept(delivery: QueueDelivery): void {
    this.log.push(`accept ${delivery.offset}`);
  }
  reject(delivery: QueueDelivery): void {
    this.log.push(`reject ${delivery.offset}`);
  }
  setWindow(window: number): void {
    this.window = window;
    this.log.push(`window ${window}`);
  }
  tooLarge(delivery: QueueDelivery): void {
    this.log.push(`too large ${delivery.offset}`);
  }
  setRecordBytesMax(recordBytesMax: number): void {
    this.log.push(`records of ${recordBytesMax}`);
  }
  lookAgain(): void {
    this.log.push('look again');
  }
  detach(): void {
    this.detached = true;
    this.log.push('detach');
  }

  deliver(...messages: TestMessage[]): void {
    this.consumer.deliver(messages.map((message) => this.#delivery(message)));
  }

  #delivery(message: TestMessage): QueueDelivery {
    const payload = Buffer.from(message.payload ?? '');
    return {
      queueId: 1,
      partition: 0,
      offset: this.#offset++,
      rowBase: 0,
      deliveryCount: message.count ?? 1,
      record: {
        topic: message.topic,
        payload,
        qos: 1,
        retain: false,
        publisher: 'somebody',
        publishedAtMs: 0,
        expiresAtMs: message.expiresAtMs ?? 0,
        properties: message.properties,
        sizeBytes: payload.length,
      },
    };
  }
}

export interface TestMessage {
  topic: string;
  payload?: string | Uint8Array;
  count?: number;
  expiresAtMs?: number;
  properties?: RecordProperties;
}

export class MemoryQueues implements QueueSubscriptions {
  readonly attachments: MemoryAttachment[] = [];

  /** By name, for tests that need one to exist. */
  readonly filters = new Map<string, string>();
  filterOf(name: string): string | undefined {
    return this.filters.get(name);
  }

  attach(reference: QueueReference, consumer: QueueConsumer): QueueAttachment {
    const attachment = new MemoryAttachment(reference, consumer);
    this.attachments.push(attachment);
    return attachment;
  }

  get last(): MemoryAttachment {
    const last = this.attachments.at(-1);
    if (last === undefined) throw new Error('nobody has attached');
    return last;
  }
}
