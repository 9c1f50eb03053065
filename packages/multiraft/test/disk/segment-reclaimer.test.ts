import { readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { SegmentReclaimer } from '../../src/disk/segment-reclaimer.ts';
import { add } from '../support/tally-machine.ts';
import { everyEntry, TestNode, until } from '../support/test-node.ts';

const MB = 1024 * 1024;
let node: TestNode;

function spares(): string[] {
  return (readdirSync(node.directory, { recursive: true }) as string[]).filter((name) => name.includes('spare-'));
}

beforeEach(async () => {
  node = await TestNode.create();
  node.live = everyEntry;
});
afterEach(async () => {
  await node.stop();
  await node.remove();
});

async function write(bytes: number): Promise<void> {
  for (let written = 0; written < bytes; written += MB) await node.propose(1, add(1, 1, MB));
}

it('the segment that is written is given back once everything in it is dead and nothing happens', async () => {
  await node.start(1, { segmentBytes: SegmentReclaimer.SEAL_FROM_BYTES + 2 * MB });
  await write(SegmentReclaimer.SEAL_FROM_BYTES + MB);
  const { segmentId } = node.storage.entryLog.activeSegment();
  node.live = () => [];
  node.host.noteDeadBytes(SegmentReclaimer.SEAL_FROM_BYTES);
  await until(() => node.storage.entryLog.activeSegment().segmentId > segmentId, 'the segment is sealed');
  await until(() => node.storage.entryLog.sealedSegments().length === 0, 'the sealed segment is released');
  expect(node.storage.entryLog.diskBytes).toBeLessThan(MB);
  // Its file was large enough to be written again, and nobody writes.
  await until(() => spares().length === 0, 'no file is kept');
});

it('a segment that is written and mostly alive, or small, is left alone', async () => {
  await node.start(1, { segmentBytes: 64 * MB });
  await write(SegmentReclaimer.SEAL_FROM_BYTES + MB);
  const { segmentId } = node.storage.entryLog.activeSegment();
  let asked = 0;
  node.live = (...range) => {
    asked++;
    return everyEntry(...range);
  };
  node.host.noteDeadBytes(1);
  await until(() => asked > 0, 'it was looked at');
  await node.propose(1, add(1, 1));
  expect(node.storage.entryLog.activeSegment().segmentId).toBe(segmentId);
});

it('a long log of live messages is looked at in turns, and the dead segment in its middle is found', async () => {
  await node.start(1, { segmentBytes: MB });
  const segments = SegmentReclaimer.OLDEST_LOOKED_AT + 3 * SegmentReclaimer.OTHERS_LOOKED_AT;
  await write(segments * MB);
  const sealed = node.storage.entryLog.sealedSegments();
  const deadSegment = sealed[sealed.length - 3];
  const dead = deadSegment?.groups.get(1)?.last;
  expect(dead).toBeGreaterThan(0);
  const looked: number[] = [];
  node.live = (...range) => {
    looked.push(range[1]);
    return everyEntry(...range).filter(({ index }) => index !== dead);
  };
  node.host.noteDeadBytes(1);
  const isReleased = () =>
    !node.storage.entryLog.sealedSegments().some(({ segmentId }) => segmentId === deadSegment?.segmentId);
  await until(isReleased, 'the dead one is released', 15_000);
  // Each pass looked at a bounded number: nobody was asked of the whole log at once.
  const first = new Set(looked.slice(0, SegmentReclaimer.OLDEST_LOOKED_AT + SegmentReclaimer.OTHERS_LOOKED_AT));
  expect(first.size).toBeLessThan(sealed.length);
});

it('a segment whose last live entry is damaged is kept, and the others are given back all the same', async () => {
  await node.start(1, { segmentBytes: MB });
  await write(6 * MB);
  const { entryLog } = node.storage;
  const [oldest] = entryLog.sealedSegments();
  const kept = oldest?.groups.get(1)?.first as number;
  const path = join(node.directory, 'log', `${String(oldest?.segmentId).padStart(16, '0')}.log`);
  const bytes = await readFile(path);
  bytes[bytes.length - 1000] = (bytes[bytes.length - 1000] as number) ^ 1;
  await writeFile(path, bytes);
  const isLive = (_groupId: number, first: number, last: number) =>
    first <= kept && kept <= last ? [{ index: kept, bytes: 1000 }] : [];
  node.live = isLive;
  node.host.noteDeadBytes(6 * MB);
  await until(() => entryLog.sealedSegments().length === 1, 'all others are released');
  expect(entryLog.sealedSegments()[0]?.segmentId).toBe(oldest?.segmentId);
  // Nothing in it is wanted any more: it needs no reading to go.
  node.live = () => [];
  node.host.noteDeadBytes(1);
  await until(() => entryLog.sealedSegments().length === 0, 'it is released as well');
});

it('what could not be looked at is looked at again, however often that failed and though nothing happens', async () => {
  await node.start(1, { segmentBytes: MB });
  await write(4 * MB);
  let failures = 4;
  node.live = () => {
    if (failures-- > 0) throw new Error('the rows cannot be read');
    return [];
  };
  node.host.noteDeadBytes(4 * MB);
  await until(() => node.storage.entryLog.sealedSegments().length === 0, 'all are released', 15_000);
  expect(failures).toBeLessThan(0);
});

it('what belongs to a group that is not open yet is left alone, although nobody calls it alive', async () => {
  await node.start(2, { segmentBytes: MB });
  for (let i = 0; i < 3; i++) await node.propose(2, add(1, 1, MB));
  await write(3 * MB);
  const last = node.storage.entryLog.lastIndex(2);
  await node.stop();
  node.live = () => [];
  await node.start(1, { segmentBytes: MB });
  await write(2 * MB);
  node.host.noteDeadBytes(5 * MB);
  const left = () => node.storage.entryLog.sealedSegments();
  await until(
    () => left().every(({ groups }) => !groups.has(1) || groups.has(2)),
    'what is dead of group 1 is released',
  );
  // A front cut would take away what keeps them: nobody but the rows of group 2 can say that these are alive.
  node.storage.entryLog.compact(2, last, node.storage.entryLog.term(2, last) as number);
  node.host.noteDeadBytes(2 * MB);
  await write(2 * MB);
  const seen = node.metrics.counter('sluice_storage_reclaimed_bytes_total', '').value;
  node.host.noteDeadBytes(2 * MB);
  await until(
    () => node.metrics.counter('sluice_storage_reclaimed_bytes_total', '').value > seen,
    'one more pass released something',
  );
  for (const index of [last - 1, last]) expect(await node.storage.entryLog.read(2, index, index, 1)).toHaveLength(1);
});

it('what was written and never lived is given back, although nobody says that it died', async () => {
  const segmentBytes = SegmentReclaimer.SEAL_FROM_BYTES + 2 * MB;
  await node.start(1, { segmentBytes });
  node.live = () => [];
  const { entryLog } = node.storage;
  await write(segmentBytes + SegmentReclaimer.SEAL_FROM_BYTES);
  node.host.noteDeadBytes(1);
  await until(() => entryLog.sealedSegments().length === 0 && entryLog.diskBytes < MB, 'what is there is released');
  await until(() => spares().length === 0, 'the reclaimer rests');
  // More than a segment holds, and then less: a full queue refuses it all, or sessions are opened and closed.
  await write(segmentBytes + SegmentReclaimer.SEAL_FROM_BYTES);
  await until(() => entryLog.sealedSegments().length === 0 && entryLog.diskBytes < MB, 'what came is released as well');
});
