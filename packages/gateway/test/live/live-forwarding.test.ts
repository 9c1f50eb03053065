import { beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { TurnFlusher } from '@sluice/gateway/connection/turn-flusher';
import { publishedFrom } from '@sluice/gateway/live/forwarded-message';
import { LiveMesh } from '@sluice/gateway/live/live-mesh';
import { LiveMeshMetrics } from '@sluice/gateway/live/live-mesh-metrics';
import { UNSENT_BYTES_MAX } from '@sluice/gateway/live/live-peer';
import { LiveRouter } from '@sluice/gateway/live/live-router';
import { RetainedInFlight } from '@sluice/gateway/retained/retained-in-flight';
import { PacketType, type QoS } from '@sluice/mqtt/codec/packet';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { LiveRequest, LiveResponse, LiveRoute } from '@sluice/rpc/contract/live';
import type { Channel, ServiceRegistry, Transport } from '@sluice/rpc/transport';
import { RecordingSubscriber, subscription } from './fixtures.ts';

/** A channel whose other end is the test: what was sent is written down, and what is unsent is said. */
class HeldChannel implements Channel<LiveRequest, LiveResponse> {
  unsentBytes = 0;
  closed = false;
  readonly sent: LiveRequest[] = [];
  answer: (response: LiveResponse) => void = () => {};
  #close: () => void = () => {};

  send(message: LiveRequest): void {
    if (!this.closed) this.sent.push(message);
  }
  onMessage(listener: (response: LiveResponse) => void): void {
    this.answer = listener;
  }
  onClose(listener: () => void): void {
    this.#close = listener;
  }
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#close();
  }
  published(): string[] {
    return this.sent.flatMap((message) =>
      message.type === 'publish'
        ? message.messages.map((each) => Buffer.from(publishedFrom(each.record).payload).toString())
        : [],
    );
  }
}

let channels: Map<number, HeldChannel>;
let metrics: PlainMetrics;
let live: LiveRouter;
let mesh: LiveMesh;
let accept: (channel: Channel<LiveResponse, LiveRequest>, from: number) => void;

beforeEach(() => {
  channels = new Map();
  metrics = new PlainMetrics();
  live = new LiveRouter();
  const transport = {
    open: (nodeId: number) => {
      const channel = new HeldChannel();
      channels.set(nodeId, channel);
      return channel;
    },
  } as unknown as Transport;
  mesh = new LiveMesh({
    nodeId: 1,
    transport,
    live,
    retainedInFlight: new RetainedInFlight(),
    flusher: new TurnFlusher(),
    clock: systemClock,
    logger: silentLogger,
    metrics: new LiveMeshMetrics(metrics),
    connectedElsewhere: () => undefined,
  });
  mesh.serve({
    serveChannel: (_service: string, listener: typeof accept) => {
      accept = listener;
    },
  } as unknown as ServiceRegistry);
});

const channel = (nodeId: number): HeldChannel => channels.get(nodeId) as HeldChannel;
const dropped = (reason: string): number =>
  metrics.counter('sluice_gateway_live_forward_dropped_total', '', { reason }).value;

/** A gateway says what it wants. */
function peer(nodeId: number, ...filters: LiveRoute[]): void {
  accept(
    {
      unsentBytes: 0,
      send: () => {},
      onMessage: (listener) => listener({ type: 'routes', version: 1, filters }),
      onClose: () => {},
      close: () => {},
    },
    nodeId,
  );
}

function publish(topic: string, payload: string | Uint8Array, qos: QoS = 0): number {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const packet = { type: PacketType.PUBLISH, topic, payload: bytes, qos, retain: false, dup: false, packetId: 0 };
  return mesh.forward(new PublishedMessage(packet, 'p', 1), 1);
}

const plain = (filter: string): LiveRoute => ({ filter, share: '' });
const shared = (filter: string): LiveRoute => ({ filter, share: 'g' });

describe('a turn', () => {
  test('is one message a gateway, and the same bytes for all of them', () => {
    peer(2, plain('t'), plain('#'));
    peer(3, plain('t'));
    expect(publish('t', 'one')).toBe(2);
    expect(publish('t', 'two')).toBe(2);
    expect(publish('x', 'three')).toBe(1);
    mesh.takeTurn();
    expect(channel(2).published()).toEqual(['one', 'two', 'three']);
    expect(channel(3).published()).toEqual(['one', 'two']);
    const [second, third] = [2, 3].map((nodeId) => {
      const sent = channel(nodeId).sent.filter((each) => each.type === 'publish');
      expect(sent.length).toBe(1);
      return sent[0]?.type === 'publish' ? sent[0].messages : [];
    });
    expect(second?.[0]?.record).toBe(third?.[0]?.record);
  });

  test('has its routes before its messages', () => {
    peer(2, plain('ask'));
    live.subscribe(new RecordingSubscriber('a'), subscription('answer'));
    publish('ask', '?');
    mesh.takeTurn();
    expect(channel(2).sent.map((each) => each.type)).toEqual(['routes', 'routes-changed', 'publish']);
  });

  test('that is large goes out in parts of bounded size, in order', () => {
    peer(2, plain('t'));
    const payload = new Uint8Array(100_000);
    for (let i = 0; i < 40; i++) publish('t', payload);
    for (let i = 0; i < 3_000; i++) publish('t', String(i));
    mesh.takeTurn();
    const sizes = channel(2).sent.map((each) =>
      each.type === 'publish' ? each.messages.reduce((sum, { record }) => sum + record.length, 0) : 0,
    );
    expect(Math.max(...sizes)).toBeLessThan(400_000);
    expect(channel(2).published().slice(40)).toEqual(Array.from({ length: 3_000 }, (_, i) => String(i)));
  });
});

describe('a gateway that does not keep up', () => {
  test.each([0, 1, 2] as const)('misses what is over its bound, QoS %d, and the others do not', (qos) => {
    peer(2, plain('t'));
    peer(3, plain('t'));
    channel(2).unsentBytes = UNSENT_BYTES_MAX;
    expect(publish('t', '1', qos)).toBe(1);
    channel(2).unsentBytes = 0;
    expect(publish('t', '2', qos)).toBe(2);
    mesh.takeTurn();
    expect(channel(2).published()).toEqual(['2']);
    expect(channel(3).published()).toEqual(['1', '2']);
    expect(dropped('peer_full')).toBe(1);
  });

  test('is bounded within a turn, too', () => {
    peer(2, plain('t'));
    const payload = new Uint8Array(1024 * 1024);
    // Nothing is taken from the channel: what is sent is unsent.
    const held = channel(2);
    const send = held.send.bind(held);
    held.send = (message) => {
      send(message);
      if (message.type === 'publish') for (const { record } of message.messages) held.unsentBytes += record.length;
    };
    for (let i = 0; i < 100; i++) publish('t', payload, 1);
    mesh.takeTurn();
    expect(held.unsentBytes).toBeLessThan(UNSENT_BYTES_MAX + 2 * payload.length);
    expect(dropped('peer_full')).toBeGreaterThan(80);
  });

  test('is passed over by groups: another gateway has the copy', () => {
    peer(2, shared('t'));
    peer(3, shared('t'));
    channel(2).unsentBytes = UNSENT_BYTES_MAX;
    for (let i = 0; i < 4; i++) expect(publish('t', String(i))).toBe(1);
    mesh.takeTurn();
    expect(channel(3).published()).toEqual(['0', '1', '2', '3']);
    channel(3).unsentBytes = UNSENT_BYTES_MAX;
    expect(publish('t', 'nobody')).toBe(0);
    expect(dropped('no_member')).toBe(1);
  });

  test('begins anew when it cannot even be told of routes', () => {
    peer(2, plain('t'));
    const first = channel(2);
    first.unsentBytes = 2 * UNSENT_BYTES_MAX + 1;
    mesh.takeTurn();
    expect(first.closed).toBe(true);
    live.subscribe(new RecordingSubscriber('a'), subscription('a'));
    peer(2, plain('t'));
    expect(channel(2)).not.toBe(first);
    expect(channel(2).sent).toEqual([{ type: 'routes', version: 1, filters: [plain('a')] }]);
  });
});

test('a gateway that was late once is waited for again when it answers in time, also while routes keep changing', async () => {
  peer(2);
  const subscriber = new RecordingSubscriber('a');
  let next = 0;
  const change = (): void => {
    live.subscribe(subscriber, subscription(`t/${next++}`));
  };
  const isWaitedFor = (): Promise<void> | undefined => {
    let seen: (() => void) | undefined;
    const waiting = new Promise<void>((resolve) => {
      seen = resolve;
    });
    return mesh.waitForRoutes({ routesSeen: () => seen?.() }) ? waiting : undefined;
  };
  change();
  await isWaitedFor();
  expect(metrics.counter('sluice_gateway_live_routes_unseen_total', '').value).toBe(1);
  change();
  expect(isWaitedFor()).toBeUndefined();
  mesh.takeTurn();
  change();
  mesh.takeTurn();
  // Never quite up to date, and quick all the same.
  channel(2).answer({ type: 'seen', version: 3 });
  change();
  const waiting = isWaitedFor();
  expect(waiting).toBeDefined();
  mesh.takeTurn();
  channel(2).answer({ type: 'seen', version: 5 });
  await waiting;
});

test('many routes are told in pieces, and only the last of them is the version that is answered', () => {
  const subscriber = new RecordingSubscriber('a');
  for (let i = 0; i < 9_000; i++) live.subscribe(subscriber, subscription(`t/${i}`));
  peer(2);
  const sent = channel(2).sent;
  expect(sent.map((each) => each.type)).toEqual(['routes', 'routes-changed', 'routes-changed']);
  expect(sent.map((each) => ('version' in each ? each.version : -1))).toEqual([0, 0, 1]);
  const filters = sent.flatMap((each) =>
    each.type === 'routes' ? each.filters : each.type === 'routes-changed' ? each.added : [],
  );
  expect(new Set(filters.map((each) => each.filter)).size).toBe(9_000);
});

test('without other gateways nothing is kept for them', () => {
  const subscriber = new RecordingSubscriber('a');
  for (let i = 0; i < 100; i++) live.subscribe(subscriber, subscription(`t/${i}`));
  expect([mesh.active, mesh.turnRequested]).toEqual([false, false]);
  expect(mesh.waitForRoutes({ routesSeen: () => {} })).toBe(false);
});
