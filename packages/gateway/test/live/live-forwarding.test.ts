import { beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { TurnFlusher } from '@sluice/gateway/connection/turn-flusher';
import { publishedFrom } from '@sluice/gateway/live/forwarded-message';
import { LiveMesh, STORED_WAIT_MS } from '@sluice/gateway/live/live-mesh';
import { LiveMeshMetrics } from '@sluice/gateway/live/live-mesh-metrics';
import { UNANSWERED_MAX, UNSENT_BYTES_MAX } from '@sluice/gateway/live/live-peer';
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
let shiftMs: number;
let metrics: PlainMetrics;
let live: LiveRouter;
let mesh: LiveMesh;
let accept: (channel: Channel<LiveResponse, LiveRequest>, from: number) => void;

beforeEach(() => {
  channels = new Map();
  shiftMs = 0;
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
    clock: { nowMs: () => systemClock.nowMs(), monotonicMs: () => systemClock.monotonicMs() + shiftMs },
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

test('a gateway that answers nothing owes a bounded number of answers, and is told all routes in their turn', () => {
  const log: string[] = [];
  for (const nodeId of [2, 3]) {
    peer(nodeId);
    channel(nodeId).answer({ type: 'seen', version: 1 });
  }
  const changes = UNANSWERED_MAX + 10;
  for (let i = 1; i <= changes; i++) {
    live.subscribe(new RecordingSubscriber(`${i}`), subscription(`t/${i}`));
    if (i === changes) mesh.waitForRoutes({ routesSeen: () => log.push('all') });
    mesh.takeTurn();
    channel(3).answer({ type: 'seen', version: i + 1 });
  }
  const told = (): LiveRequest[] => channel(2).sent.slice(1);
  const versions = (): number[] => told().map((message) => ('version' in message ? message.version : -1));
  expect(told().flatMap((message) => ('added' in message ? message.added : []))).toEqual(
    Array.from({ length: changes }, (_, i) => plain(`t/${i + 1}`)),
  );
  expect(versions().filter((version) => version > 0)).toHaveLength(UNANSWERED_MAX);
  // What it owes is asked for once behind the next answer, for all that went without.
  channel(2).answer({ type: 'seen', version: 2 });
  channel(2).answer({ type: 'seen', version: 3 });
  expect([versions().slice(changes), log]).toEqual([[changes + 1], []]);
  live.subscribe(new RecordingSubscriber('late'), subscription('late'));
  mesh.takeTurn();
  expect(versions().at(-1)).toBe(changes + 2);
  channel(2).answer({ type: 'seen', version: changes + 1 });
  expect(log).toEqual(['all']);
});

describe('who is to read what is retained', () => {
  /** What the gateways were told since they were there. */
  const told = (nodeId: number): LiveRequest[] => channel(nodeId).sent.slice(1);
  const changed = (version: number, ...added: LiveRoute[]): LiveRequest => ({
    type: 'routes-changed',
    version,
    added,
    removed: [],
  });
  const seen = (nodeId: number, version: number): void => channel(nodeId).answer({ type: 'seen', version });
  let log: string[];
  const wait = (name: string, version: number): boolean =>
    mesh.waitForRetained({ routesSeen: () => log.push(name) }, version);

  beforeEach(() => {
    log = [];
    for (const nodeId of [2, 3]) {
      peer(nodeId);
      seen(nodeId, 1);
    }
  });

  test('hears from every gateway although no route is new, and all of a turn are one question', () => {
    const version = mesh.askForRetained();
    expect(mesh.askForRetained()).toBe(version);
    expect([wait('a', version), wait('b', version)]).toEqual([true, true]);
    expect(mesh.turnRequested).toBe(true);
    mesh.takeTurn();
    for (const nodeId of [2, 3]) expect(told(nodeId)).toEqual([changed(2)]);
    mesh.takeTurn();
    seen(2, 2);
    expect(log).toEqual([]);
    seen(3, 2);
    expect(log).toEqual(['a', 'b']);
    expect(wait('c', version)).toBe(false);
    expect([told(2).length, told(3).length]).toEqual([1, 1]);
  });

  test('is answered with the routes that are new in that turn', () => {
    live.subscribe(new RecordingSubscriber('a'), subscription('a'));
    const version = mesh.askForRetained();
    live.subscribe(new RecordingSubscriber('b'), subscription('b'));
    mesh.takeTurn();
    expect(told(2)).toEqual([changed(version, plain('a'), plain('b'))]);
  });

  test('is not forgotten for a SUBACK that waits for less', () => {
    live.subscribe(new RecordingSubscriber('a'), subscription('a'));
    mesh.takeTurn();
    wait('reader', mesh.askForRetained());
    expect(mesh.waitForRoutes({ routesSeen: () => log.push('suback') })).toBe(true);
    mesh.takeTurn();
    expect(told(2)).toEqual([changed(2, plain('a')), changed(3)]);
    for (const nodeId of [2, 3]) for (const version of [2, 3]) seen(nodeId, version);
    expect(log).toEqual(['suback', 'reader']);
  });

  test('waits behind a question that a gateway has not answered: it is asked one at a time, the others are not held up', () => {
    const turns = [0, 1, 2, 3].map((turn) => {
      const version = mesh.askForRetained();
      wait(`turn ${turn}`, version);
      mesh.takeTurn();
      seen(3, version);
      return version;
    });
    expect(turns).toEqual([2, 3, 4, 5]);
    expect(told(2)).toEqual([changed(2)]);
    expect(told(3).length).toBe(4);
    seen(2, 2);
    expect(log).toEqual(['turn 0']);
    // Those that came meanwhile are one question.
    expect(told(2)).toEqual([changed(2), changed(5)]);
    seen(2, 5);
    expect(log.slice(1)).toEqual(['turn 1', 'turn 2', 'turn 3']);
    expect(told(2).length).toBe(2);
  });

  test('new routes are told all the same, and their answer is as good', () => {
    mesh.askForRetained();
    mesh.takeTurn();
    wait('a', mesh.askForRetained());
    mesh.takeTurn();
    live.subscribe(new RecordingSubscriber('a'), subscription('a'));
    mesh.takeTurn();
    expect(told(2)).toEqual([changed(2), changed(4, plain('a'))]);
    for (const nodeId of [2, 3]) for (const version of [2, 4]) seen(nodeId, version);
    expect(log).toEqual(['a']);
    expect(told(2).length).toBe(2);
  });

  test('asks a gateway anew that lost its channel with the question', () => {
    const version = mesh.askForRetained();
    wait('a', version);
    mesh.takeTurn();
    seen(3, version);
    channel(2).close();
    expect(log).toEqual(['a']);
    peer(2);
    expect(channel(2).sent).toEqual([{ type: 'routes', version: 2, filters: [] }]);
    wait('b', mesh.askForRetained());
    mesh.takeTurn();
    expect(told(2)).toEqual([changed(3)]);
    for (const nodeId of [2, 3]) seen(nodeId, 3);
    expect(log).toEqual(['a', 'b']);
  });

  test('waits longer than a SUBACK, for a gateway that answers nothing once, and for one that answers again', async () => {
    const unseen = (of: string): number => metrics.counter(`sluice_gateway_live_${of}_unseen_total`, '').value;
    live.subscribe(new RecordingSubscriber('a'), subscription('a'));
    const version = mesh.askForRetained();
    const seenBySuback = new Promise<void>((resolve) => mesh.waitForRoutes({ routesSeen: resolve }));
    const read = new Promise<void>((resolve) => mesh.waitForRetained({ routesSeen: resolve }, version));
    wait('reader', version);
    mesh.takeTurn();
    seen(3, version);
    await seenBySuback;
    expect([log, unseen('routes'), unseen('retained')]).toEqual([[], 1, 0]);
    shiftMs += STORED_WAIT_MS;
    await read;
    expect([log, unseen('routes'), unseen('retained')]).toEqual([['reader'], 1, 1]);
    expect(wait('later', mesh.askForRetained())).toBe(true);
    mesh.takeTurn();
    seen(3, 3);
    expect(log).toEqual(['reader', 'later']);
    seen(2, version);
    expect(wait('with all', 3)).toBe(true);
    seen(2, 3);
    expect(log.at(-1)).toBe('with all');
  });

  test('who comes with an older question than others who wait is let go with them', () => {
    const older = mesh.askForRetained();
    mesh.takeTurn();
    const newer = mesh.askForRetained();
    wait('newer', newer);
    wait('older', older);
    mesh.takeTurn();
    for (const nodeId of [2, 3]) for (const version of [older, newer]) seen(nodeId, version);
    expect(log).toEqual(['newer', 'older']);
  });
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
  expect(mesh.waitForRetained({ routesSeen: () => {} }, mesh.askForRetained())).toBe(false);
  expect(mesh.turnRequested).toBe(false);
});
