import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { ConsumeRequest, ConsumeResponse } from '@sluice/rpc/contract/consume';
import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { Channel } from '@sluice/rpc/transport';
import { ConsumeService } from '../../src/service/consume-service.ts';
import { DeliveryBound } from '../../src/service/delivery-bound.ts';
import { SessionService } from '../../src/service/session-service.ts';
import { rest, TestStore, until } from '../support/test-store.ts';

/** The way to a gateway that takes nothing, until the test lets what is on it leave. */
class SlowChannel<Out extends ConsumeResponse | SessionsResponse, In> implements Channel<Out, In> {
  unsentBytes = 0;
  readonly sent: Out[] = [];
  say: (request: In) => void = () => {};
  hangUp: () => void = () => {};

  send(message: Out): void {
    this.sent.push(message);
    if (message.type !== 'deliver') return;
    // As if each were an image.
    this.unsentBytes += message.deliveries.length * IMAGE_BYTES;
  }
  onMessage(listener: (request: In) => void): void {
    this.say = listener;
  }
  onClose(listener: () => void): void {
    this.hangUp = listener;
  }
  close(): void {
    this.hangUp();
  }

  get delivered(): number {
    return this.sent.reduce((sum, each) => sum + (each.type === 'deliver' ? each.deliveries.length : 0), 0);
  }
}

const IMAGE_BYTES = DeliveryBound.UNSENT_BYTES_MAX / 4;
let store: TestStore;
let service: ConsumeService;
let bound: DeliveryBound;
let metrics: PlainMetrics;
beforeEach(async () => {
  store = await TestStore.start();
  metrics = new PlainMetrics();
  bound = new DeliveryBound({ metrics, logger: silentLogger });
  service = new ConsumeService(store.store.partitions, () => [], {
    clock: systemClock,
    bound,
    isGone: () => false,
  });
  await store.define();
});
afterEach(() => store.remove());

function gateway(from: number): SlowChannel<ConsumeResponse, ConsumeRequest> {
  const channel = new SlowChannel<ConsumeResponse, ConsumeRequest>();
  service.accept(channel, from);
  return channel;
}

const attach = (consumerId: number, window: number): ConsumeRequest => ({
  type: 'attach',
  consumerId,
  partition: 1,
  queueId: 1,
  window,
  clientId: `c${consumerId}`,
  generation: 0,
  held: [],
});
const held = (): number => metrics.counter('sluice_store_gateway_held_total', '').value;
const publish = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await store.publish(1, [`${i}`]);
};

test('a gateway that takes nothing is given no more than the bound, others go on, and it goes on itself when it takes', async () => {
  const [slow, quick] = [gateway(10), gateway(11)];
  for (const consumerId of [1, 2, 3]) slow.say(attach(consumerId, 100));
  await publish(20);
  await until(() => held() === 1, 'it is held');
  // The bound, and the one that went beyond it.
  expect(slow.delivered).toBe(5);
  // Also who comes meanwhile, and a window that is asked for: that is answered all the same.
  slow.say(attach(4, 100));
  const before = slow.sent.length;
  slow.say({ type: 'window', consumerId: 1, window: 50 });
  await until(() => slow.sent.length > before, 'the window is answered');
  expect(slow.sent.slice(before)).toEqual([{ type: 'waiting', consumerId: 1, waiting: false }]);
  expect(slow.delivered).toBe(5);
  quick.say(attach(1, 3));
  await until(() => quick.delivered === 3, 'the other gateway is given what it asks for');
  expect(slow.delivered).toBe(5);
  slow.unsentBytes = DeliveryBound.UNSENT_BYTES_MAX / 2;
  await until(() => slow.delivered > 5, 'it goes on');
  await until(() => held() === 2, 'and is held again');
  // Nobody asked for what the bound does to windows: no answer goes to whom it was not due.
  expect(slow.sent.filter(({ type }) => type === 'waiting')).toHaveLength(1);
});

test('nothing is looked after for a gateway that is gone', async () => {
  const slow = gateway(10);
  slow.say(attach(1, 100));
  await publish(10);
  await until(() => held() === 1, 'it is held');
  slow.close();
  slow.unsentBytes = 0;
  const quick = gateway(11);
  quick.say(attach(1, 10));
  await until(() => quick.delivered > 0, 'what it had is given to another');
  await rest();
  expect(slow.delivered).toBe(5);
});

describe('the sessions of a gateway', () => {
  class SlowSessions extends SlowChannel<SessionsResponse, SessionsRequest> {
    #requestId = 0;

    async ask(request: Record<string, unknown>): Promise<Extract<SessionsResponse, { type: 'answer' }>> {
      const requestId = ++this.#requestId;
      this.say({ ...request, requestId } as unknown as SessionsRequest);
      const answers = (): SessionsResponse[] =>
        this.sent.filter((one) => one.type === 'answer' && one.requestId === requestId);
      await until(() => answers().length > 0, 'the answer');
      return answers()[0] as Extract<SessionsResponse, { type: 'answer' }>;
    }

    /** With a window of a hundred; returns where its messages are to be stored. */
    async begin(clientId: string): Promise<number> {
      const of = { partition: 1, clientId };
      const ticket = tickets++;
      const { epoch } = await this.ask({ type: 'open', ...of, identity: '', cleanStart: false, expiryS: 60, ticket });
      const subscriptions = [{ filter: clientId, options: 1, subscriptionId: 0, isStored: true }];
      const { subscriptions: views } = await this.ask({ type: 'subscribe', ...of, epoch, subscriptions });
      this.say({ type: 'attach', ...of, epoch, window: 100 });
      return views[0]?.streamId ?? 0;
    }

    deliveredTo(clientId: string): number {
      return this.sent.reduce(
        (sum, each) => sum + (each.type === 'deliver' && each.clientId === clientId ? each.deliveries.length : 0),
        0,
      );
    }
  }

  let sessions: SessionService;
  let tickets = 1;
  function sessionGateway(from: number): SlowSessions {
    const channel = new SlowSessions();
    sessions.accept(channel, from);
    return channel;
  }

  beforeEach(() => {
    const limits = { countMax: null, bytesMax: null };
    const { partitions } = store.store;
    sessions = new SessionService({ partitions, gateways: () => [], clock: systemClock, limits, bound });
  });
  afterEach(() => sessions.stop());

  test('are given no more than the bound together, those of others go on, and who was given nothing is the next', async () => {
    const [slow, quick] = [sessionGateway(10), sessionGateway(11)];
    const crowd: number[] = [];
    for (let i = 0; i < 10; i++) crowd.push(await slow.begin(`crowd ${i}`));
    const streams = [await slow.begin('d'), await quick.begin('e')];
    const publishTo = async (queueIds: readonly number[], count: number): Promise<void> => {
      const targets = queueIds.map((queueId) => ({ queueId, key: undefined }));
      for (let i = 0; i < count; i++) await store.publish(1, [`${i}`], { targets });
    };
    await publishTo(crowd, 20);
    await until(() => held() === 1, 'it is held');
    expect(slow.delivered).toBe(5);
    await publishTo(streams, 3);
    await until(() => quick.delivered === 3, 'the other gateway is given what there is');
    expect(slow.delivered).toBe(5);
    for (const times of [2, 3]) {
      slow.unsentBytes = DeliveryBound.UNSENT_BYTES_MAX / 2;
      await until(() => held() === times, 'it goes on, and is held again');
      await rest();
    }
    expect([slow.delivered, slow.deliveredTo('d') > 0]).toEqual([11, true]);
    slow.close();
    await rest();
    expect(slow.delivered).toBe(11);
  });
});
