import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { type Entry, EntryKind, type Membership } from '@sluice/raft/entry';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { Channel } from '@sluice/rpc/transport';
import { entriesCrc, rowsCrc } from '../../src/snapshot/snapshot-chunk.ts';
import { put, rowKey } from '../support/box-machine.ts';
import { GROUP, SnapshotCluster, type SnapshotNode } from '../support/snapshot-cluster.ts';
import { until } from '../support/test-node.ts';

/** Node 2 waits to be added; nodes 8 and 9 are played by the test, each as a leader of the terms it says. */
let cluster: SnapshotCluster;
let node: SnapshotNode;
beforeEach(async () => {
  cluster = await SnapshotCluster.create();
  node = await cluster.boot(2);
});
afterEach(() => cluster.remove());

const MEMBERS: Membership = { voters: [8, 9], votersOutgoing: [], learners: [2], learnersNext: [] };

/** One end of a transfer, step by step. */
class Peer {
  readonly answers: SnapshotAnswer[] = [];
  closed = false;
  readonly #channel: Channel<SnapshotChunk, SnapshotAnswer>;
  readonly #from: number;

  constructor(from: number) {
    this.#from = from;
    this.#channel = cluster.network.node(from).open(2, 'raft-snapshot');
    this.#channel.onMessage((answer) => this.answers.push(answer));
    this.#channel.onClose(() => {
      this.closed = true;
    });
  }

  send(chunk: SnapshotChunk): this {
    this.#channel.send(chunk);
    return this;
  }

  begin(term: number, index: number, other: { to?: number; from?: number; membership?: Membership } = {}): this {
    const { to = 2, from = this.#from, membership = MEMBERS } = other;
    const snapshot = { index, term: Math.min(term, 5), membership };
    return this.send({ type: 'begin', groupId: GROUP, from, to, term, stint: 1, snapshot });
  }

  /** A machine of `boxes` live boxes at the indexes before the snapshot's, and the entries that hold them. */
  content(index: number, boxes = 3): this {
    const live = Array.from({ length: boxes }, (_, i) => index - boxes + i);
    const counts = { key: Uint8Array.of(0), value: new ByteWriter(16).u53(boxes).u53(0).finish() };
    const rows = live.map((at) => ({ key: rowKey(at), value: new ByteWriter(8).u53(100).finish() }));
    this.rows([counts, ...rows]);
    for (const at of live) this.entries([box(at)]);
    return this.send({ type: 'end', rows: boxes + 1, entries: boxes });
  }

  rows(rows: { key: Uint8Array; value: Uint8Array }[]): this {
    return this.send({ type: 'rows', rows, crc: rowsCrc(rows) });
  }

  entries(entries: Entry[]): this {
    return this.send({ type: 'entries', entries, crc: entriesCrc(entries) });
  }

  close(): void {
    this.#channel.close();
  }

  async outcome(): Promise<string> {
    await until(() => this.closed || this.#last() !== undefined, 'the transfer ended');
    const last = this.#last();
    return last?.type === 'refused' ? last.reason : (last?.type ?? 'closed');
  }

  received(chunks: number): Promise<void> {
    return until(() => this.answers.some((one) => one.type === 'received' && one.chunks >= chunks), `${chunks} chunks`);
  }

  #last(): SnapshotAnswer | undefined {
    return this.answers.find(({ type }) => type !== 'received');
  }
}

function box(index: number): Entry {
  return { index, term: 3, kind: EntryKind.NORMAL, data: put(index, 100) };
}

async function expectState(index: number, boxes = 3): Promise<void> {
  await until(() => node.host.status(GROUP)?.applied === index, 'the core knows that it is installed');
  const { applied, firstIndex, role } = node.host.status(GROUP) ?? {};
  expect({ applied, firstIndex, role }).toEqual({ applied: index, firstIndex: index + 1, role: 'follower' });
  expect([node.machine.puts, node.replica().membership]).toEqual([boxes, MEMBERS]);
  for (let at = index - boxes; at < index; at++) {
    const [entry] = await node.storage.entryLog.read(GROUP, at, at, 1);
    expect(Buffer.compare(entry?.data ?? Buffer.of(), put(at, 100))).toBe(0);
  }
  await expectNoFiles();
}

async function expectNoFiles(): Promise<void> {
  const names = async () => (await readdir(join(node.directory, 'images'))).filter((name) => !name.endsWith('.image'));
  let left: string[] = [];
  for (let tries = 0; tries < 100; tries++) {
    left = await names();
    if (left.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(left).toEqual([]);
}

describe('a replica that is sent a snapshot', () => {
  test('installs it, and answers done to what it has already: the same, an older one, one its log reaches', async () => {
    expect(await new Peer(8).begin(5, 40).content(40).outcome()).toBe('done');
    await expectState(40);
    expect(node.host.termOf(GROUP)).toBe(5);
    for (const index of [40, 30]) {
      // Nothing but the header is wanted.
      expect(await new Peer(8).begin(5, index).outcome()).toBe('done');
    }
    await expectState(40);
    expect(node.restores).toBe(1);
  });

  test('installs a second one right after the first', async () => {
    const first = new Peer(8).begin(5, 40).content(40);
    await first.outcome();
    expect(await new Peer(8).begin(5, 60).content(60, 5).outcome()).toBe('done');
    await expectState(60, 5);
    expect(node.restores).toBe(2);
    // The first one's live entries that the second does not name are gone.
    await expect(node.storage.entryLog.read(GROUP, 38, 38, 1)).rejects.toThrow('38');
  });

  test('refuses what a replaced leader sends, from the first word or in the middle', async () => {
    expect(await new Peer(9).begin(6, 40).content(40).outcome()).toBe('done');
    expect(await new Peer(8).begin(5, 50).content(50).outcome()).toMatch('term 5 is over');
    await expectState(40);

    const late = new Peer(8).begin(6, 50).entries([box(1)]);
    await late.received(2);
    // Meanwhile somebody of a later term is heard.
    const heartbeat = { type: 'heartbeat', from: 9, to: 2, term: 7, commit: 0, readContext: 0 } as const;
    node.parts.step(node.replica(), heartbeat);
    late.send({ type: 'end', rows: 0, entries: 1 });
    expect(await late.outcome()).toMatch('term 6 is over');
    await expectState(40);
  });

  test('takes that of the later term when two arrive at once, whoever came first', async () => {
    const older = new Peer(8).begin(5, 40).entries([box(1)]);
    await older.received(2);
    const newer = new Peer(9).begin(6, 45).content(45);
    expect(await older.outcome()).toMatch('another snapshot');
    expect(await newer.outcome()).toBe('done');
    await expectState(45);

    const present = new Peer(9).begin(6, 60).entries([box(1)]);
    await present.received(2);
    const stale = new Peer(8).begin(5, 70);
    expect(await stale.outcome()).toMatch('term 5 is over');
    present.send({ type: 'end', rows: 0, entries: 1 });
    expect(await present.outcome()).toBe('done');
  });

  test('takes one while it is a candidate', async () => {
    const voters: Membership = { voters: [2, 8], votersOutgoing: [], learners: [], learnersNext: [] };
    const first = new Peer(8).begin(5, 40, { membership: voters }).content(40);
    expect(await first.outcome()).toBe('done');
    await until(() => node.host.status(GROUP)?.role === 'pre-candidate', 'it hears nobody and campaigns');
    expect(await new Peer(8).begin(5, 60).content(60).outcome()).toBe('done');
    await expectState(60);
  });

  test('does not vote for itself by a snapshot that waits to be durable', async () => {
    const voters: Membership = { voters: [2], votersOutgoing: [], learners: [], learnersNext: [] };
    const whole = new Peer(8).begin(5, 40, { membership: voters }).content(40);
    expect(await whole.outcome()).toBe('done');
    // It is the only voter now, leads, and has everything.
    await until(() => node.leads, 'it leads');
    expect(node.machine.puts).toBe(3);
  });

  test('refuses what does not fit together, and keeps nothing of it', async () => {
    const cases: [string, RegExp, (peer: Peer) => void][] = [
      ['not for this node', /not for this node/, (peer) => peer.begin(5, 40, { to: 3 })],
      ['in the name of another', /not for this node/, (peer) => peer.begin(5, 40, { from: 9 })],
      ['without voters', /no voter/, (peer) => peer.begin(5, 40, { membership: { ...MEMBERS, voters: [] } })],
      ['without a header', /begins with its header/, (peer) => peer.entries([box(1)])],
      ['with two headers', /one snapshot/, (peer) => peer.begin(5, 40).begin(5, 40)],
      ['a damaged row', /checksum/, (peer) => peer.begin(5, 40).send({ type: 'rows', rows: [], crc: 1 })],
      ['a damaged entry', /checksum/, (peer) => peer.begin(5, 40).send({ type: 'entries', entries: [box(1)], crc: 1 })],
      [
        'rows that go back',
        /rows must ascend/,
        (peer) =>
          peer
            .begin(5, 40)
            .rows([rowOf(2)])
            .rows([rowOf(1)]),
      ],
      ['a row twice', /rows must ascend/, (peer) => peer.begin(5, 40).rows([rowOf(2), rowOf(2)])],
      [
        'entries that go back',
        /entries must ascend/,
        (peer) =>
          peer
            .begin(5, 40)
            .entries([box(2)])
            .entries([box(1)]),
      ],
      ['an entry beyond the image', /not below/, (peer) => peer.begin(5, 40).entries([box(41)])],
      ['an entry of a later term', /not below/, (peer) => peer.begin(5, 40).entries([{ ...box(1), term: 6 }])],
      [
        'rows after entries',
        /before entries/,
        (peer) =>
          peer
            .begin(5, 40)
            .entries([box(1)])
            .rows([rowOf(1)]),
      ],
      [
        'too few rows',
        /came of/,
        (peer) =>
          peer
            .begin(5, 40)
            .rows([rowOf(1)])
            .send({ type: 'end', rows: 2, entries: 0 }),
      ],
      ['too few entries', /came of/, (peer) => peer.begin(5, 40).send({ type: 'end', rows: 0, entries: 1 })],
      ['everything at once', /window/, (peer) => flood(peer)],
    ];
    for (const [name, reason, run] of cases) {
      const peer = new Peer(8);
      run(peer);
      expect([name, await peer.outcome()]).toEqual([name, expect.stringMatching(reason)]);
      await expectNoFiles();
    }
    expect(node.host.status(GROUP)).toMatchObject({ applied: 0, lastIndex: 0, term: 0 });
    expect(await new Peer(8).begin(5, 40).content(40).outcome()).toBe('done');
  });

  test('keeps nothing of one whose sender went away', async () => {
    const peer = new Peer(8)
      .begin(5, 40)
      .rows([rowOf(1)])
      .entries([box(1)]);
    await peer.received(3);
    peer.close();
    await expectNoFiles();
    expect(await new Peer(8).begin(5, 40).content(40).outcome()).toBe('done');
    await expectState(40);
  });

  test('keeps nothing of one that arrives while the replica is removed from the node', async () => {
    const peer = new Peer(8).begin(5, 40).rows([rowOf(1)]);
    await peer.received(2);
    await node.host.removeGroup(GROUP);
    expect(await peer.outcome()).toMatch('removed');
    expect(await new Peer(8).begin(5, 40).outcome()).toMatch('no replica');
  });

  test.each([
    ['while the core takes it', (remove: () => void) => remove()],
    ['when the core has just taken it', (remove: () => void) => queueMicrotask(remove)],
    ['while it waits for its turn', (remove: () => void) => setImmediate(remove)],
  ])(
    'keeps nothing of one that is to be installed when the replica is removed %s, and takes the next one',
    async (_when, soon) => {
      const { step } = node.parts;
      const removed = new Promise<void>((resolve, reject) => {
        Object.assign(node.parts, {
          step: (...given: Parameters<typeof step>) => {
            step(...given);
            if (given[1].type === 'snapshot') soon(() => node.host.removeGroup(GROUP).then(resolve, reject));
          },
        });
      });
      new Peer(8).begin(5, 40).content(40);
      await removed;
      Object.assign(node.parts, { step });
      expect([...node.host.storedGroups()]).toEqual([]);
      await node.addGroup(undefined);
      expect(await new Peer(9).begin(6, 50).content(50).outcome()).toBe('done');
      await until(() => node.host.status(GROUP)?.applied === 50, 'it is installed');
      expect((await readdir(join(node.directory, 'images'))).filter((name) => /incoming|spool/.test(name))).toEqual([]);
    },
  );

  test('an impaired one takes none: it must be wiped first', async () => {
    node.host.markImpaired(GROUP, new Error('of a test'));
    expect(await new Peer(8).begin(5, 40).outcome()).toMatch('impaired');
  });
});

describe('an installation', () => {
  test('waits while the disk is full, answers for itself meanwhile, and goes on when it is not', async () => {
    // Everything has arrived and is durable: from here on there is no way back.
    let syncs = 0;
    node.files.onChange = (what) => {
      // Of the rows, then of the whole.
      if (what.startsWith('sync') && what.endsWith('images') && ++syncs === 2) node.files.full = true;
    };
    const peer = new Peer(8).begin(5, 40).content(40);
    await peer.received(5);
    await until(() => node.replica().installing !== undefined, 'it is being installed');
    const before = peer.answers.length;
    await until(() => peer.answers.length > before, 'a sign of life');
    expect([node.restores, node.host.impaired(), peer.closed]).toEqual([0, [], false]);
    node.files.onChange = () => {};
    node.files.full = false;
    expect(await peer.outcome()).toBe('done');
    await expectState(40);
  });

  test('is not begun where the disk fills up before the end: refused, and nothing is left', async () => {
    node.files.onChange = (what) => {
      if (what.startsWith('sync') && what.endsWith('images')) node.files.full = true;
    };
    const peer = new Peer(8).begin(5, 40).content(40);
    expect(await peer.outcome()).toMatch('disk is full');
    node.files.onChange = () => {};
    node.files.full = false;
    await expectNoFiles();
    expect(await new Peer(8).begin(5, 40).content(40).outcome()).toBe('done');
    await expectState(40);
  });

  test('begins when what was gathered for the former log is written, also when the disk stalls', async () => {
    const append = (first: number) => {
      const entries = [box(first), box(first + 1)];
      const prevTerm = first === 1 ? 0 : 3;
      const at = { prevIndex: first - 1, prevTerm, first, last: first + 1, entries, commit: 0, stint: 1 };
      node.parts.step(node.replica(), { type: 'append', from: 8, to: 2, term: 5, ...at });
    };
    let open = () => {};
    node.files.logGate = new Promise((resolve) => {
      open = resolve;
    });
    const gathered = () => until(() => !node.replica().raft.hasReady(), 'it is gathered');
    append(1);
    await gathered();
    // Gathered ahead of the write in flight.
    append(3);
    await gathered();
    const peer = new Peer(8).begin(5, 40).content(40);
    await until(() => node.replica().installing !== undefined, 'the core took the snapshot');
    // Were it begun now, its note would be there by the end of these.
    for (let looks = 0; looks < 300; looks++) {
      expect(await readdir(join(node.directory, 'images'))).not.toContain(`${GROUP}.installing`);
    }
    open();
    expect(await peer.outcome()).toBe('done');
    expect(node.host.failure).toBeUndefined();
    await expectState(40);
  });

  test('is not begun by a node that stops: nothing is written behind its end', async () => {
    const { step } = node.parts;
    const closed = new Promise<void>((resolve, reject) => {
      Object.assign(node.parts, {
        step: (...given: Parameters<typeof step>) => {
          step(...given);
          if (given[1].type === 'snapshot') queueMicrotask(() => node.host.close().then(resolve, reject));
        },
      });
    });
    const changes: string[] = [];
    new Peer(8).begin(5, 40).content(40);
    node.files.onChange = (what) => changes.push(what);
    await closed;
    await expect(node.host.readBarrier(GROUP)).resolves.toBe(false);
    expect(changes.filter((what) => what.includes('installing'))).toEqual([]);
  });

  test('that the node does not survive is carried out by its next start', async () => {
    node.files.onChange = (what) => {
      if (what.includes('installing') && what.startsWith('unlink')) node.files.crashAfter = 0;
    };
    new Peer(8).begin(5, 40).content(40);
    await until(() => node.files.failedAt !== '', 'the node goes down');
    await cluster.kill(2);
    node = await cluster.boot(2);
    expect(node.host.impaired()).toEqual([]);
    await expectState(40);
    expect(node.host.termOf(GROUP)).toBe(5);
    expect(await new Peer(8).begin(5, 40).outcome()).toBe('done');
  });
});

function rowOf(at: number): { key: Uint8Array; value: Uint8Array } {
  return { key: rowKey(at), value: Uint8Array.of(1) };
}

function flood(peer: Peer): void {
  peer.begin(5, 40);
  for (let at = 1; at < 30; at++) peer.entries([box(at)]);
}
