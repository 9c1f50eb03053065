import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { SessionsRequest, SessionsResponse, StreamDelivery, WillToLeave } from '@sluice/rpc/contract/sessions';
import type { Channel, Transport } from '@sluice/rpc/transport';
import { until } from './test-store.ts';

type Answer = Extract<SessionsResponse, { type: 'answer' }>;
type Asked = SessionsRequest extends infer R ? (R extends { requestId: number } ? Omit<R, 'requestId'> : never) : never;

/** Tickets of CONNECTs. */
let drawn = 0;

/** A gateway, as far as sessions go: one partition, one channel, and what came over it. */
export class TestSessions {
  readonly partition = 1;
  readonly streams = new Map<number, string>();
  readonly deliveries: (StreamDelivery & { clientId: string; text: string })[] = [];
  readonly lost: string[] = [];
  readonly willGroups: Extract<SessionsResponse, { type: 'publish-wills' }>[] = [];
  /** Whether it says at once that they are published. */
  publishes = true;
  /** How many streams came with each page of images. */
  readonly pages: number[] = [];
  /** How many streams each piece of news began and ended. */
  readonly changes: { added: number; removed: number }[] = [];
  /** The versions it said that it stores by. */
  readonly seen: number[] = [];
  /** Whether it asks for more of an image. */
  takesPages = true;
  /** Whether it says at once that the connection of a lost session is over. */
  letsGo = true;
  /** Whether it says that it stores by the streams it was told of. */
  sees = true;
  readonly #channel: Channel<SessionsRequest, SessionsResponse>;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  #requestId = 0;

  constructor(store: { transportOf(nodeId: number): Transport }, nodeId = 1, storeId = 1) {
    this.#channel = store.transportOf(nodeId).open(storeId, 'sessions');
    this.#channel.onMessage((response) => this.#received(response));
  }

  ask(request: Asked): Promise<Answer> {
    const requestId = ++this.#requestId;
    return new Promise((resolve) => {
      this.#answers.set(requestId, resolve);
      this.#channel.send({ ...request, requestId } as SessionsRequest);
    });
  }

  open(
    clientId: string,
    over: { cleanStart?: boolean; expiryS?: number; identity?: string; ticket?: number; will?: WillToLeave } = {},
  ): Promise<Answer> {
    const { cleanStart = false, expiryS = 600, identity = '', ticket = ++drawn, will } = over;
    const { partition } = this;
    return this.ask({ type: 'open', partition, clientId, identity, cleanStart, expiryS, ticket, will });
  }

  async subscribe(clientId: string, epoch: number, ...filters: string[]): Promise<number[]> {
    const subscriptions = filters.map((filter) => ({ filter, options: 1, subscriptionId: 0, isStored: true }));
    const answer = await this.ask({ type: 'subscribe', partition: this.partition, clientId, epoch, subscriptions });
    if (answer.status !== 'done') throw new Error(answer.status);
    return answer.subscriptions.map(({ streamId }) => streamId);
  }

  attach(clientId: string, epoch: number, window = 100): void {
    this.#channel.send({ type: 'attach', partition: this.partition, clientId, epoch, window });
  }

  pass(clientId: string, epoch: number, ...deliveries: readonly StreamDelivery[]): void {
    const items = deliveries.map(({ streamId, offset }) => ({ clientId, epoch, streamId, offset }));
    this.#channel.send({ type: 'pass', partition: this.partition, items });
  }

  close(clientId: string, epoch: number, expiryS = 600, takesWillBack = false, leavesUnsure = false): Promise<Answer> {
    const asked = { clientId, epoch, expiryS, takesWillBack, leavesUnsure };
    return this.ask({ type: 'close', partition: this.partition, ...asked });
  }

  /** Says so of every group it was asked for. */
  willsPublished(): void {
    for (const { partition, group } of this.willGroups) {
      this.#channel.send({ type: 'wills-published', partition, group });
    }
  }

  /** As published through this gateway, a group twice counted once. */
  get wills(): string[] {
    const groups = new Map(this.willGroups.map((each) => [each.group, each.wills]));
    return [...groups.values()].flat().map(({ message }) => Buffer.from(message).toString());
  }

  textsOf(clientId: string): string[] {
    return this.deliveries.filter((one) => one.clientId === clientId).map(({ text }) => text);
  }

  async received(clientId: string, count: number): Promise<string[]> {
    await until(() => this.textsOf(clientId).length >= count, `${count} messages for ${clientId}`);
    return this.textsOf(clientId);
  }

  nextPage(): void {
    this.#channel.send({ type: 'next-page', partition: this.partition });
  }

  letGo(clientId: string, epoch: number): void {
    const items = [{ clientId, epoch, streamId: 0, offset: 0 }];
    this.#channel.send({ type: 'pass', partition: this.partition, items });
  }

  /** The gateway dies. */
  end(): void {
    this.#channel.close();
  }

  #received(response: SessionsResponse): void {
    switch (response.type) {
      case 'answer':
        this.#answers.get(response.requestId)?.(response);
        return;
      case 'deliver':
        for (const delivery of response.deliveries) {
          const text = Buffer.from(new EncodedRecord(delivery.record).payload).toString();
          this.deliveries.push({ ...delivery, clientId: response.clientId, text });
        }
        return;
      case 'lost':
        this.lost.push(response.clientId);
        if (this.letsGo) this.letGo(response.clientId, response.epoch);
        return;
      case 'publish-wills':
        this.willGroups.push(response);
        if (this.publishes) this.willsPublished();
        return;
      case 'streams': {
        const { partition, version } = response;
        if (partition !== this.partition) return;
        if (response.part === 'first-page') this.streams.clear();
        if (response.part !== 'change') this.pages.push(response.added.length);
        else this.changes.push({ added: response.added.length, removed: response.removed.length });
        for (const { streamId, filter } of response.added) this.streams.set(streamId, filter);
        for (const streamId of response.removed) this.streams.delete(streamId);
        if (response.isComplete && this.sees) {
          this.seen.push(version);
          this.#channel.send({ type: 'seen', partition, version });
        }
        if (!response.isComplete && response.part !== 'change' && this.takesPages) this.nextPage();
      }
    }
  }
}
