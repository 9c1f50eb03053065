import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import type { BackupRequest, BackupResponse } from '@sluice/rpc/contract/backup';
import { type BackupContents, type BackupPart, readBackup } from '@sluice/storage/backup-format';
import type { KeyValue } from '@sluice/storage/engine';
import { ExportService } from '../../src/backup/export-service.ts';
import { exportGroup } from '../../src/backup/group-export.ts';
import { importGroup } from '../../src/backup/group-import.ts';
import { drop, liveBoxes } from '../support/box-machine.ts';
import { GROUP, SnapshotCluster, SnapshotNode } from '../support/snapshot-cluster.ts';
import { until } from '../support/test-node.ts';

let cluster: SnapshotCluster;
beforeEach(async () => {
  cluster = await SnapshotCluster.create();
});
afterEach(() => cluster.remove());

const MIB = 1024 * 1024;
const NEW_NODE = 9;

const entryOf = ({ key }: KeyValue): number | undefined => (key[0] === 1 ? new ByteReader(key, 1).u53() : undefined);

async function* flat(parts: AsyncIterable<Uint8Array[]>): AsyncGenerator<Uint8Array> {
  for await (const some of parts) yield* some;
}

/** As `sluice restore` does, and the node is started. */
async function restored(bytes: AsyncIterable<Uint8Array>): Promise<SnapshotNode> {
  const node = new SnapshotNode(cluster, NEW_NODE, {});
  await node.start(undefined, async () => {
    const parts = readBackup(bytes, 'test');
    const first = (await parts.next()).value as Extract<BackupPart, { type: 'head' }>;
    await importGroup(node.storage, NEW_NODE, first.head, parts as AsyncGenerator<BackupContents>);
  });
  cluster.nodes.set(NEW_NODE, node);
  await until(() => node.leads, 'the restored node leads');
  return node;
}

async function expectBoxes(node: SnapshotNode, boxes: ReadonlyMap<number, Uint8Array>): Promise<void> {
  const live = await liveBoxes(node.storage.engine, GROUP, 0, 1e9, 1e6);
  expect(live.map(({ index }) => index)).toEqual([...boxes.keys()].sort((a, b) => a - b));
  for (const [index, bytes] of boxes) {
    const [entry] = await node.storage.entryLog.read(GROUP, index, index, 1);
    if (entry === undefined || Buffer.compare(entry.data, bytes) !== 0) throw new Error(`box ${index} differs`);
  }
}

test('a group is as it was at one moment, whatever becomes of it while it is read, and goes on elsewhere', async () => {
  const leader = await cluster.boot(1);
  const boxes = new Map<number, Uint8Array>();
  await leader.fill(boxes, 3000, 200);
  await leader.fill(boxes, 5, MIB);
  const dead = [...boxes.keys()].filter((index) => index % 3 === 0);
  await Promise.all(dead.map((index) => leader.propose(drop(index))));
  for (const index of dead) boxes.delete(index);
  await leader.compact();

  const parts = exportGroup(leader.parts, GROUP, entryOf);
  const head = (await parts.next()).value as Uint8Array[];
  expect(leader.replica().exports).toBe(1);
  // Behind the image: half of it dies, and more comes.
  for (const index of [...boxes.keys()].filter((at) => at % 2 === 0)) void leader.propose(drop(index)).catch(() => {});
  const later = new Map<number, Uint8Array>();
  await leader.fill(later, 50, 300);
  await leader.compact();
  const node = await restored(
    (async function* () {
      yield* head;
      yield* flat(parts);
    })(),
  );
  expect(leader.replica().exports).toBe(0);
  await expectBoxes(node, boxes);
  expect([node.machine.puts, node.machine.drops]).toEqual([3005, dead.length]);

  // It is a group like any: it takes more, and others are added to it.
  await node.fill(boxes, 3, 100);
  const follower = await cluster.boot(2);
  expect(node.host.proposeMembership(GROUP, { addLearners: [2] })).toBe('proposed');
  await until(() => follower.caughtUpWith(node), 'a follower has it', 20_000);
  await expectBoxes(follower, boxes);
});

test('a reading that is given up leaves nothing behind', async () => {
  const leader = await cluster.boot(1);
  await leader.fill(new Map(), 10, 100);
  const parts = exportGroup(leader.parts, GROUP, entryOf);
  await parts.next();
  await parts.return(undefined);
  expect(leader.replica().exports).toBe(0);
});

function serviceOf(node: SnapshotNode, isShortOfSpace: () => boolean = () => false): ExportService {
  const { host, parts: snapshots, metrics } = node;
  return new ExportService({
    host,
    snapshots,
    entryOf,
    isShortOfSpace,
    clock: systemClock,
    logger: silentLogger,
    metrics,
  });
}

async function* pieces(ask: (request: BackupRequest) => Promise<BackupResponse>): AsyncGenerator<Uint8Array> {
  const opened = await ask({ type: 'open', group: GROUP });
  if (opened.type !== 'opened') throw new Error(JSON.stringify(opened));
  for (let isLast = false; !isLast; ) {
    const piece = await ask({ type: 'read', reading: opened.reading });
    if (piece.type !== 'piece') throw new Error(JSON.stringify(piece));
    expect(piece.bytes.length).toBeLessThanOrEqual(MIB);
    isLast = piece.isLast;
    yield piece.bytes;
  }
}

test('by pieces: one reading a node, of a group that it leads', async () => {
  const leader = await cluster.boot(1);
  const boxes = new Map<number, Uint8Array>();
  await leader.fill(boxes, 3, 3 * MIB);
  const service = serviceOf(leader);
  const ask = (request: BackupRequest): Promise<BackupResponse> => service.answer(request);
  expect(await ask({ type: 'open', group: 77 })).toMatchObject({ type: 'refused', code: 'not-leader' });
  const reading = pieces(ask);
  const first = (await reading.next()).value as Uint8Array;
  expect(await ask({ type: 'open', group: GROUP })).toMatchObject({ type: 'refused', code: 'busy' });
  const node = await restored(
    (async function* () {
      yield first;
      yield* reading;
    })(),
  );
  await expectBoxes(node, boxes);
  const outcome = (name: string): number =>
    leader.metrics.counter('sluice_backup_groups_total', '', { outcome: name }).value;
  expect([outcome('done'), outcome('failed')]).toEqual([1, 0]);

  const again = await ask({ type: 'open', group: GROUP });
  expect(again.type).toBe('opened');
  service.close();
  expect(outcome('failed')).toBe(1);
  await until(() => leader.replica().exports === 0, 'nothing is held');
  const stops = { type: 'refused', code: 'unavailable', message: 'this node stops' };
  expect(await ask({ type: 'open', group: GROUP })).toMatchObject(stops);
});

test('an image that cannot be opened ends a reading, and the next one may begin', async () => {
  const leader = await cluster.boot(1);
  await leader.fill(new Map(), 10, 100);
  const service = serviceOf(leader);
  const { reading } = (await service.answer({ type: 'open', group: GROUP })) as { reading: number };
  const { files } = leader;
  const open = files.open.bind(files);
  files.open = async (path, mode, writes) => {
    if (path.endsWith('.image')) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    return open(path, mode, writes);
  };
  await expect(service.answer({ type: 'read', reading })).rejects.toThrow('too many open files');
  files.open = open;
  expect(await service.answer({ type: 'read', reading })).toMatchObject({ type: 'refused', code: 'unavailable' });
  expect(await service.answer({ type: 'open', group: GROUP })).toMatchObject({ type: 'opened' });
  service.close();
});

test('a disk that is short of space ends a reading: what it holds back is given back', async () => {
  const leader = await cluster.boot(1);
  await leader.fill(new Map(), 10, 100);
  let isShort = false;
  const service = serviceOf(leader, () => isShort);
  const opened = await service.answer({ type: 'open', group: GROUP });
  isShort = true;
  await until(() => leader.metrics.gauge('sluice_backup_running', '').value === 0, 'it is over');
  const { reading } = opened as { reading: number };
  expect(await service.answer({ type: 'read', reading })).toMatchObject({ type: 'refused', code: 'unavailable' });
  expect(await service.answer({ type: 'open', group: GROUP })).toMatchObject({ type: 'refused', code: 'unavailable' });
});
