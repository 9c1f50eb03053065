import { matches } from '@sluice/mqtt/topic/topic-filter';
import { type Outcome, refuse } from '@sluice/rpc/contract/queue-management';
import type { RetainedList, RetainedManagement, RetainedMessage } from '@sluice/rpc/contract/retained-management';

export class MemoryRetainedManagement implements RetainedManagement {
  readonly messages = new Map<string, RetainedMessage>();
  /** While set, nobody leads. */
  isAway = false;

  put(topic: string, text: string, more: Partial<RetainedMessage> = {}): void {
    const payload = Buffer.from(text);
    const own = { publisher: 'p', publishedAtMs: 1_800_000_000_000, expiresAtMs: null, properties: undefined };
    this.messages.set(topic, { topic, payload, payloadSizeBytes: payload.length, qos: 1, ...own, ...more });
  }

  async list(filter: string, skip: number, limit: number): Promise<Outcome<RetainedList>> {
    if (this.isAway) return refuse('UNAVAILABLE', 'nobody answers');
    const all = [...this.messages.values()].filter(({ topic }) => matches(filter, topic));
    return { ok: true, value: { messages: all.slice(skip, skip + limit), hasMore: all.length > skip + limit } };
  }

  async get(topic: string): Promise<Outcome<RetainedMessage>> {
    if (this.isAway) return refuse('UNAVAILABLE', 'nobody answers');
    const message = this.messages.get(topic);
    return message === undefined ? refuse('NOT_FOUND', 'nothing') : { ok: true, value: message };
  }

  async remove(topic: string): Promise<Outcome<null>> {
    return this.messages.delete(topic) ? { ok: true, value: null } : refuse('NOT_FOUND', 'nothing');
  }
}
