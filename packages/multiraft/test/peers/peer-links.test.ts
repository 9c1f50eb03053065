import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { Entry } from '@sluice/raft/entry';
import type { Message } from '@sluice/raft/message';
import type { RaftFrame } from '@sluice/rpc/contract/raft';
import type { ChannelService, Transport } from '@sluice/rpc/transport';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { AppendMessage } from '../../src/peers/append-reader.ts';
import { PeerChannel } from '../../src/peers/peer-link.ts';
import { PeerLinks } from '../../src/peers/peer-links.ts';
import { TICK_MS } from '../../src/raft-timing.ts';
import { RecentEntries } from '../../src/replica/recent-entries.ts';
import type { Replica } from '../../src/replica/replica.ts';
import { until } from '../support/test-node.ts';

/** A way that keeps what is sent, and is closed by the test. */
class Wire {
  readonly service: ChannelService;
  readonly frames: RaftFrame[] = [];
  unsentBytes = 0;
  isPending = false;
  onClosed: (() => void) | undefined;
  closed = false;

  constructor(service: ChannelService) {
    this.service = service;
  }
  send(frame: RaftFrame): void {
    this.frames.push(frame);
  }
  onMessage(): void {}
  onClose(listener: () => void): void {
    this.onClosed = listener;
  }
  close(): void {
    this.closed = true;
    this.onClosed?.();
  }
}

const wires: Wire[] = [];
let nowMs = 0;
/** Nobody takes what is opened from now on, nor refuses it. */
let pending = false;
let told: string[] = [];
let metrics = new PlainMetrics();
let links: PeerLinks;
let reads: { first: number; last: number; resolve(entries: Entry[]): void }[] = [];

beforeEach(() => {
  wires.length = 0;
  nowMs = 1000;
  pending = false;
  told = [];
  reads = [];
  metrics = new PlainMetrics();
  const entryLog = {
    read: (_group: number, first: number, last: number) =>
      new Promise<Entry[]>((resolve) => reads.push({ first, last, resolve })),
  };
  const transport = {
    open: (_node: number, service: ChannelService) => {
      const wire = new Wire(service);
      wire.isPending = pending;
      wires.push(wire);
      return wire;
    },
  };
  links = new PeerLinks({
    transport: transport as unknown as Transport,
    entryLog: entryLog as unknown as EntryLog,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics,
    silenceMs: 1000,
    onBroken: (peer) => told.push(`broken ${peer}`),
    onLost: (peer) => told.push(`lost ${peer}`),
    onFound: (peer) => told.push(`found ${peer}`),
    onDamaged: () => told.push('damaged'),
  });
});
afterEach(() => links.close());

function wire(service: ChannelService): Wire {
  return wires.filter((candidate) => candidate.service === service).at(-1) as Wire;
}

function entry(index: number, bytes = 10): Entry {
  return { index, term: 1, kind: 0, data: new Uint8Array(bytes) };
}

function replicaOf(groupId: number, entries: readonly Entry[] = []): Replica {
  const recent = new RecentEntries();
  recent.append(entries, 0);
  const raft = { role: 'leader', term: 1, reportUnreachable: (peer: number) => told.push(`unreachable ${peer}`) };
  return { groupId, recent, raft, removed: false } as unknown as Replica;
}

function append(first: number, last: number): AppendMessage {
  return {
    type: 'append',
    from: 1,
    to: 2,
    term: 1,
    prevIndex: first - 1,
    prevTerm: 1,
    first,
    last,
    entries: [],
    commit: 0,
    stint: 1,
  };
}

const heartbeat: Message = { type: 'heartbeat', from: 1, to: 2, term: 1, commit: 0, readContext: 0 };

describe('how long a peer takes to answer', () => {
  const answer = (groupId: number, index: number, more: object = {}): RaftFrame => ({
    messages: [
      {
        groupId,
        message: {
          ...{ type: 'append-response', from: 2, to: 1, term: 1, index, rejected: false },
          ...{ hintIndex: 0, hintTerm: 0, stint: 1, ...more },
        },
      },
    ],
    quiesced: [],
  });
  const trips = () => metrics.histogram('sluice_raft_round_trip_seconds', '', [], { peer: '2' });
  const send = (groupId: number, index: number): void => {
    links.send(replicaOf(groupId, [entry(index)]), [append(index, index)]);
    links.flush();
  };

  test('is told of one append at a time, and of the next after a tick', () => {
    send(1, 5);
    nowMs += 30;
    send(2, 9);
    nowMs += 10;
    // Another group, an older entry, a former term.
    for (const frame of [answer(2, 9), answer(1, 4), answer(1, 5, { term: 0 })]) links.heard(2, frame);
    expect(trips().count).toBe(0);
    nowMs += 10;
    links.heard(2, answer(1, 5));
    expect([trips().count, trips().sum]).toEqual([1, 0.05]);
    send(1, 6);
    links.heard(2, answer(1, 6));
    expect(trips().count).toBe(1);
    links.tick(new Set([2]));
    send(1, 7);
    nowMs += 20;
    links.heard(2, answer(1, 8));
    expect([trips().count, trips().sum]).toEqual([2, 0.07]);
  });

  test('is not told of what was refused, and forgotten when no answer comes', () => {
    send(1, 5);
    links.heard(2, answer(1, 4, { rejected: true }));
    links.tick(new Set([2]));
    send(1, 5);
    expect(trips().count).toBe(0);
    nowMs += 10_001;
    links.heard(2, { messages: [], quiesced: [] });
    links.tick(new Set([2]));
    send(1, 6);
    nowMs += 5;
    links.heard(2, answer(1, 5));
    expect(trips().count).toBe(0);
    links.heard(2, answer(1, 6));
    expect([trips().count, trips().sum]).toEqual([1, 0.005]);
  });
});

describe('what a node has for another', () => {
  test('leaves as one frame a channel, whatever the number of groups', () => {
    for (const groupId of [1, 2, 3]) links.send(replicaOf(groupId, [entry(1)]), [heartbeat, append(1, 1)]);
    links.flush();
    expect(wire('raft').frames.map(({ messages }) => messages.map(({ groupId }) => groupId))).toEqual([[1, 2, 3]]);
    expect(wire('raft-control').frames.map(({ messages }) => messages.length)).toEqual([3]);
    links.flush();
    expect(wire('raft').frames.length).toBe(1);
  });

  test('is a beat at once, then every third tick when there is nothing else, whether they come one by one or together', () => {
    const peers = new Set([2]);
    const sentAfter = (ticks: number): number => {
      for (let i = 0; i < ticks; i++) links.tick(peers);
      return wire('raft-control').frames.length;
    };
    expect(sentAfter(1)).toBe(1);
    expect(wire('raft-control').frames).toEqual([{ messages: [], quiesced: [] }]);
    expect([sentAfter(1), sentAfter(1), sentAfter(1), sentAfter(6)]).toEqual([1, 1, 2, 4]);
    links.tick(peers, 3);
    expect([sentAfter(0), sentAfter(2), sentAfter(1)]).toEqual([5, 5, 6]);
    links.send(replicaOf(1), [heartbeat]);
    links.flush();
    expect([sentAfter(1), sentAfter(2), sentAfter(1)]).toEqual([7, 7, 8]);
  });

  test('nobody is missed whose beats arrive', () => {
    links.tick(new Set([2]));
    expect(links.hearsAll).toBe(true);
    nowMs += PeerLinks.BEAT_MISSED_TICKS * TICK_MS + 1;
    expect(links.hearsAll).toBe(false);
    links.heard(2, { messages: [], quiesced: [] });
    expect(links.hearsAll).toBe(true);
    wire('raft-control').close();
    expect(links.hearsAll).toBe(false);
  });
});

describe('entries that are no longer in memory', () => {
  test('are read, in the order of their group, while other groups overtake', async () => {
    const slow = replicaOf(1, [entry(3)]);
    links.send(slow, [append(1, 2), append(3, 3)]);
    links.send(replicaOf(2, [entry(1)]), [append(1, 1)]);
    links.flush();
    expect(wire('raft').frames.flatMap(({ messages }) => messages.map(({ groupId }) => groupId))).toEqual([2]);
    reads[0]?.resolve([entry(1), entry(2)]);
    await until(() => wire('raft').frames.length === 3, 'both have left');
    const sent = wire('raft')
      .frames.slice(1)
      .flatMap(({ messages }) => messages.map(({ message }) => message));
    expect(sent.map((message) => (message as AppendMessage).entries.map(({ index }) => index))).toEqual([[1, 2], [3]]);
  });

  test('are not sent for a leadership that ended while they were read', async () => {
    const replica = replicaOf(1);
    links.send(replica, [append(1, 1)]);
    (replica.raft as unknown as { term: number }).term = 2;
    reads[0]?.resolve([entry(1)]);
    await until(() => told.includes('unreachable 2'), 'it is dropped');
    expect(wire('raft').frames.length).toBe(0);
  });

  test('set nothing aside on a way that was made after they were wanted', async () => {
    links.tick(new Set([2]));
    links.send(replicaOf(1), [append(1, 1)]);
    // The peer is no member any more, and then one again.
    links.tick(new Set());
    links.tick(new Set([2]));
    reads[0]?.resolve([entry(1)]);
    await until(() => wire('raft').frames.length === 1, 'what was read has left');
    wire('raft').unsentBytes = PeerLinks.UNSENT_BYTES_MAX;
    links.send(replicaOf(2, [entry(1)]), [append(1, 1)]);
    expect(told).toContain('unreachable 2');
  });

  test('are read a few at a time', () => {
    for (let groupId = 1; groupId <= 20; groupId++) links.send(replicaOf(groupId), [append(1, 1)]);
    expect(reads.length).toBe(4);
  });
});

describe('a peer that does not keep up', () => {
  test('gets no more appends than its bound, and the core is told', () => {
    const replica = replicaOf(1, [entry(1, 1024)]);
    links.send(replica, [append(1, 1)]);
    links.flush();
    wire('raft').unsentBytes = PeerLinks.UNSENT_BYTES_MAX;
    links.send(replica, [append(1, 1), heartbeat]);
    links.flush();
    expect(told).toEqual(['unreachable 2']);
    expect(wire('raft').frames.length).toBe(1);
    // What is small still leaves, on the other channel.
    expect(wire('raft-control').frames.length).toBe(1);
    expect(metrics.counter('sluice_raft_dropped_appends_total', '', { peer: '2' }).value).toBe(1);
  });

  test('gets an entry that is larger than its bound all the same: without it the group could never go on', () => {
    const large = replicaOf(1, [entry(1, PeerLinks.UNSENT_BYTES_MAX + 1)]);
    links.send(large, [append(1, 1)]);
    // Behind it the next one waits.
    links.send(replicaOf(2, [entry(1, PeerLinks.UNSENT_BYTES_MAX + 1)]), [append(1, 1)]);
    expect(told).toEqual(['unreachable 2']);
    links.flush();
    expect(wire('raft').frames.map(({ messages }) => messages.map(({ groupId }) => groupId))).toEqual([[1]]);
  });

  test('loses what was read when the way is full by then, and the core is told', async () => {
    links.send(replicaOf(1), [append(1, 1)]);
    wire('raft').unsentBytes = PeerChannel.UNSENT_BYTES_MAX + 1;
    reads[0]?.resolve([entry(1)]);
    await until(() => told.length > 0, 'the core is told');
    expect(told).toEqual(['broken 2']);
    expect(wire('raft').frames).toEqual([]);
    expect(metrics.counter('sluice_raft_dropped_appends_total', '', { peer: '2' }).value).toBe(1);
  });

  test('gets such an entry in a frame of its own: with others it might be more than the peer takes', () => {
    const sizes = [100, 100, PeerLinks.FRAME_BYTES_MAX + 1, 100, PeerLinks.FRAME_BYTES_MAX - 100, 1];
    for (const [at, size] of sizes.entries()) links.send(replicaOf(at + 1, [entry(1, size)]), [append(1, 1)]);
    links.flush();
    const frames = wire('raft').frames.map(({ messages }) => messages.map(({ groupId }) => groupId));
    expect(frames).toEqual([[1, 2], [3], [4, 5], [6]]);
  });

  test('whose connection breaks is lost once, and found when the way there holds', async () => {
    jest.useFakeTimers();
    try {
      const peers = new Set([2]);
      links.tick(peers);
      nowMs += 200;
      wire('raft-control').close();
      wire('raft').close();
      expect(told).toEqual(['broken 2', 'lost 2', 'broken 2']);
      expect(links.peerAlive(2)).toBe(false);
      // Heard, but every attempt to reach it is refused.
      for (let i = 0; i < 5; i++) {
        nowMs += 50;
        links.heard(2, { messages: [], quiesced: [] });
        jest.advanceTimersByTime(2000);
        wire('raft-control').close();
      }
      expect(told.filter((what) => what === 'lost 2').length).toBe(1);
      jest.advanceTimersByTime(2000);
      nowMs += 150;
      links.heard(2, { messages: [], quiesced: [] });
      links.tick(peers);
      expect(told.at(-1)).toBe('found 2');
      expect(links.peerAlive(2)).toBe(true);
    } finally {
      jest.useRealTimers();
    }
  });

  test('whose beats arrive is not lost with the connection for appends', async () => {
    jest.useFakeTimers();
    try {
      links.tick(new Set([2]));
      for (let i = 0; i < 3; i++) {
        nowMs += 500;
        links.heard(2, { messages: [], quiesced: [] });
        wire('raft').close();
        jest.advanceTimersByTime(2000);
        links.tick(new Set([2]));
      }
      expect(told).toEqual(['broken 2', 'broken 2', 'broken 2']);
      expect(links.peerAlive(2)).toBe(true);
    } finally {
      jest.useRealTimers();
    }
  });

  test('that is heard, and to which nothing gets through, stays lost until it takes a connection', async () => {
    jest.useFakeTimers();
    try {
      const hearAndTick = (): void => {
        nowMs += 100;
        links.heard(2, { messages: [], quiesced: [] });
        links.tick(new Set([2]));
      };
      links.tick(new Set([2]));
      pending = true;
      nowMs += 200;
      wire('raft-control').close();
      // Each attempt waits for as long as a transport does.
      for (let attempt = 0; attempt < 3; attempt++) {
        jest.advanceTimersByTime(2000);
        for (let i = 0; i < 40; i++) hearAndTick();
        wire('raft-control').close();
      }
      expect(told).toEqual(['broken 2', 'lost 2', 'broken 2', 'broken 2', 'broken 2']);
      expect(links.hasLost(2)).toBe(true);
      jest.advanceTimersByTime(2000);
      wire('raft-control').isPending = false;
      for (let i = 0; i < 3; i++) hearAndTick();
      expect(told.at(-1)).toBe('found 2');
    } finally {
      jest.useRealTimers();
    }
  });

  test('that is silent is lost, but not because this process was paused', () => {
    const peers = new Set([2]);
    links.tick(peers);
    nowMs += 60_000;
    links.tick(peers);
    expect(told).toEqual([]);
    for (let i = 0; i < 11; i++) {
      nowMs += 100;
      links.tick(peers);
    }
    expect(told).toEqual(['lost 2']);
    expect([links.hasLost(2), links.hasLost(3)]).toEqual([true, false]);
    // Nor was it heard meanwhile: it would be found, and lost anew, with each pause.
    for (let i = 0; i < 3; i++) {
      nowMs += 60_000;
      links.tick(peers);
    }
    expect(told).toEqual(['lost 2']);
  });
});
