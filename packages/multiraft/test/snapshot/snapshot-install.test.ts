import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { type Entry, EntryKind, type Membership } from '@sluice/raft/entry';
import type { Engine } from '@sluice/storage/engine';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import {
  appliedKey,
  decodeApplied,
  decodeMembershipRow,
  encodeApplied,
  groupKey,
  membershipKey,
} from '../../src/disk/keyspace.ts';
import { type NodeStorage, openNodeStorage } from '../../src/disk/node-storage.ts';
import { whenRoom } from '../../src/disk/when-room.ts';
import { ImpairedNotes } from '../../src/replica/impaired-notes.ts';
import { hardStateWith, keepsPromise, readPromise, wipeReplica } from '../../src/replica/replica-wipe.ts';
import { entriesCrc, rowsCrc } from '../../src/snapshot/snapshot-chunk.ts';
import { carryOut, type Installation, noteInstallation } from '../../src/snapshot/snapshot-install.ts';
import { SnapshotIntake } from '../../src/snapshot/snapshot-intake.ts';
import { CrashingFiles } from '../support/crashing-files.ts';
import { KeptEngine } from '../support/kept-engine.ts';

const GROUP = 3;
const OTHER = 4;
const MEMBERS: Membership = { voters: [1, 2], votersOutgoing: [], learners: [3], learnersNext: [] };
const SNAPSHOT = { index: 40, term: 5, membership: MEMBERS };
const HARD_STATE = { term: 6, vote: 2, commit: 40 };

const directories: string[] = [];
afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-install-'));
  directories.push(directory);
  return directory;
}

function open(directory: string, engine: Engine, files = new CrashingFiles(), durable = true): Promise<NodeStorage> {
  const metrics = new PlainMetrics();
  return openNodeStorage({
    directory,
    logger: silentLogger,
    metrics,
    files,
    openEngine: async () => engine,
    openEntryLog: (path, durableMark) =>
      openEntryLog({
        directory: path,
        logger: silentLogger,
        metrics,
        files,
        segmentBytes: 2000,
        durableMark: durable ? durableMark : undefined,
      }),
  });
}

function entry(index: number, term: number, text: string): Entry {
  return { index, term, kind: EntryKind.NORMAL, data: Buffer.from(text) };
}

const row = (key: string, value: string) => ({ key: Buffer.from(key), value: Buffer.from(value) });

/** A replica that is behind: seven entries, of which five are applied; and another group that must not notice. */
async function fill(storage: NodeStorage): Promise<void> {
  const old = [1, 2, 3, 4, 5, 6, 7].map((index) => entry(index, 2, `old ${index}`.padEnd(300)));
  for (const entries of [old.slice(0, 3), old.slice(3)]) {
    const hardState = { term: 2, vote: 1, commit: 5 };
    await storage.entryLog.append([GROUP, OTHER].map((groupId) => ({ groupId, hardState, entries })));
  }
  for (const groupId of [GROUP, OTHER]) {
    const rows = [row('a', 'old'), row('gone', 'old')].map(({ key, value }) => ({
      key: groupKey(groupId, key),
      value,
    }));
    const applied = { key: appliedKey(groupId), value: encodeApplied({ index: 5, term: 2 }) };
    await storage.engine.write([...rows, applied], { sync: true });
  }
}

const LIVE = [entry(3, 2, 'live 3'), entry(17, 4, 'live 17'.padEnd(3000)), entry(40, 5, 'live 40')];

async function receive(storage: NodeStorage): Promise<Installation> {
  const intake = new SnapshotIntake(storage, GROUP, SNAPSHOT, 1, async () => 1e12);
  const parts = [[row('a', 'new')], [row('b', 'new'), row('c', 'new')]];
  for (const part of parts) await intake.rows(part, rowsCrc(part));
  for (const one of LIVE) await intake.entries([one], entriesCrc([one]));
  await intake.finish(3, 3);
  const { index, term, membership } = SNAPSHOT;
  const { incoming, spool } = intake;
  return { groupId: GROUP, index, term, membership, hardState: HARD_STATE, incoming, spool };
}

async function rowsOf(storage: NodeStorage, groupId: number): Promise<string[]> {
  const rows = await storage.engine.scan(groupKey(groupId, Buffer.of()), groupKey(groupId + 1, Buffer.of()), 100);
  return rows.map(({ key, value }) => `${Buffer.from(key.subarray(2)).toString()}=${Buffer.from(value).toString()}`);
}

async function appliedOf(storage: NodeStorage, groupId: number): Promise<number> {
  const value = await storage.engine.get(appliedKey(groupId));
  return value === undefined ? 0 : decodeApplied(value).index;
}

async function isAsBefore(storage: NodeStorage, groupId: number): Promise<void> {
  const { entryLog } = storage;
  expect([entryLog.firstIndex(groupId), entryLog.lastIndex(groupId)]).toEqual([1, 7]);
  expect(entryLog.groups.get(groupId)?.hardState).toEqual({ term: 2, vote: 1, commit: 5 });
  expect(await rowsOf(storage, groupId)).toEqual(['a=old', 'gone=old']);
  expect(await appliedOf(storage, groupId)).toBe(5);
  const entries = await entryLog.read(groupId, 1, 7, 1 << 20);
  expect(entries.map(({ data }) => Buffer.from(data).toString().trim())).toEqual(
    [1, 2, 3, 4, 5, 6, 7].map((index) => `old ${index}`),
  );
}

async function isInstalled(storage: NodeStorage): Promise<void> {
  const { entryLog, engine } = storage;
  expect([entryLog.firstIndex(GROUP), entryLog.term(GROUP, 40)]).toEqual([41, 5]);
  expect(entryLog.groups.get(GROUP)?.hardState).toMatchObject({ term: 6, vote: 2 });
  expect(await rowsOf(storage, GROUP)).toEqual(['a=new', 'b=new', 'c=new']);
  expect(await appliedOf(storage, GROUP)).toBe(40);
  const membership = decodeMembershipRow((await engine.get(membershipKey(GROUP))) as Uint8Array);
  expect(membership).toEqual({ index: 40, membership: MEMBERS });
  for (const one of LIVE) {
    const [found] = await entryLog.read(GROUP, one.index, one.index, 1);
    expect([found?.term, Buffer.from(found?.data ?? []).toString()]).toEqual([one.term, one.data.toString()]);
  }
  // What was there before and is not live is not to be found.
  for (const index of [1, 7]) await expect(entryLog.read(GROUP, index, index, 1)).rejects.toThrow('');
}

const noteNames = async (directory: string) =>
  (await readdir(join(directory, 'images'))).filter((name) => !name.endsWith('.image'));

describe('the installation of a snapshot', () => {
  test('replaces log, hard state, rows and membership; another group does not notice', async () => {
    const directory = await newDirectory();
    const engine = new KeptEngine();
    const storage = await open(directory, engine);
    await fill(storage);
    const installation = await receive(storage);
    await noteInstallation(storage, installation);
    await carryOut(storage, installation);
    await isInstalled(storage);
    await isAsBefore(storage, OTHER);
    expect(await noteNames(directory)).toEqual([]);
    await storage.close();
    const again = await open(directory, engine);
    await isInstalled(again);
    await isAsBefore(again, OTHER);
    await again.close();
  });

  for (const kept of [true, false]) {
    test(`interrupted at any change, is whole or has not begun (the engine ${kept ? 'kept' : 'lost'} its rows)`, async () => {
      const outcomes = { before: 0, installed: 0 };
      for (let crashAfter = 0; ; crashAfter++) {
        const directory = await newDirectory();
        const engine = new KeptEngine();
        const files = new CrashingFiles();
        const storage = await open(directory, engine, files);
        await fill(storage);
        const installation = await receive(storage);
        files.changes = 0;
        files.crashAfter = crashAfter;
        let noted = false;
        let whole = false;
        try {
          await noteInstallation(storage, installation);
          noted = true;
          await carryOut(storage, installation);
          whole = true;
        } catch (cause) {
          expect([crashAfter, String(cause)]).toEqual([
            crashAfter,
            expect.stringMatching(/node is down|fenced|failed/i),
          ]);
        }
        await storage.close().catch(() => {});
        const again = await open(directory, kept ? engine : new MemoryEngine(), undefined, kept);
        expect([crashAfter, files.failedAt, [...again.impaired.keys()]]).toEqual([crashAfter, files.failedAt, []]);
        // Once the note is durable it is carried out; whether a note whose sync failed is there, only the disk knows.
        const installed = again.entryLog.firstIndex(GROUP) === 41;
        if (noted) expect([crashAfter, installed]).toEqual([crashAfter, true]);
        if (installed) {
          outcomes.installed++;
          await isInstalled(again);
        } else {
          outcomes.before++;
          if (kept) await isAsBefore(again, GROUP);
        }
        if (kept) await isAsBefore(again, OTHER);
        expect([crashAfter, await noteNames(directory)]).toEqual([crashAfter, []]);
        await again.close();
        if (whole) break;
      }
      expect(outcomes.before).toBeGreaterThan(2);
      expect(outcomes.installed).toBeGreaterThan(10);
    });
  }

  test('goes on after a lack of descriptors, wherever that was', async () => {
    let waits = 0;
    const wait = async (): Promise<void> => {
      waits++;
    };
    for (let descriptors = 0, isLacking = true; isLacking; descriptors++) {
      const directory = await newDirectory();
      const files = new CrashingFiles();
      const storage = await open(directory, new KeptEngine(), files);
      await fill(storage);
      const installation = await receive(storage);
      await noteInstallation(storage, installation);
      files.descriptors = descriptors;
      const done = whenRoom(() => carryOut(storage, installation, wait), wait);
      expect([descriptors, await done.catch(String)]).toEqual([descriptors, undefined]);
      isLacking = files.descriptors === Number.POSITIVE_INFINITY;
      files.descriptors = Number.POSITIVE_INFINITY;
      await isInstalled(storage);
      expect(await noteNames(directory)).toEqual([]);
      await storage.close();
    }
    expect(waits).toBeGreaterThan(5);
  });

  test('brings the rows before the entries they name: who gives space back asks the rows what is alive', async () => {
    const directory = await newDirectory();
    const storage = await open(directory, new KeptEngine());
    await fill(storage);
    const installation = await receive(storage);
    await noteInstallation(storage, installation);
    const { entryLog } = storage;
    const seen: string[][] = [];
    const adopt = entryLog.adopt.bind(entryLog);
    entryLog.adopt = async (groupId, entries) => {
      seen.push(await rowsOf(storage, GROUP));
      return adopt(groupId, entries);
    };
    await carryOut(storage, installation);
    expect(seen).toEqual([['a=new', 'b=new', 'c=new']]);
    await storage.close();
  });

  test('carried out again, keeps what the log has got since', async () => {
    const directory = await newDirectory();
    const engine = new KeptEngine();
    const storage = await open(directory, engine);
    await fill(storage);
    const installation = await receive(storage);
    await noteInstallation(storage, installation);
    const { imageDirectory } = storage;
    const note = await readFile(join(imageDirectory, `${GROUP}.installing`));
    const spool = await readFile(join(imageDirectory, installation.spool));
    await carryOut(storage, installation);
    const hardState = { term: 7, vote: 1, commit: 42 };
    const entries = [entry(41, 6, 'after 41'), entry(42, 7, 'after 42')];
    await storage.entryLog.append([{ groupId: GROUP, hardState, entries }]);
    // As if the removal of the note had not become durable.
    await writeFile(join(imageDirectory, `${GROUP}.installing`), note);
    await writeFile(join(imageDirectory, installation.spool), spool);
    await storage.close();
    const again = await open(directory, engine);
    expect(again.entryLog.lastIndex(GROUP)).toBe(42);
    expect(again.entryLog.groups.get(GROUP)?.hardState).toEqual(hardState);
    expect(await appliedOf(again, GROUP)).toBe(40);
    await again.close();
  });

  test('of damaged files leaves an impaired replica, also over the next starts', async () => {
    for (const damage of ['incoming', 'spool', 'note']) {
      const directory = await newDirectory();
      const engine = new KeptEngine();
      const storage = await open(directory, engine);
      await fill(storage);
      const installation = await receive(storage);
      await noteInstallation(storage, installation);
      const names = { incoming: installation.incoming, spool: installation.spool, note: `${GROUP}.installing` };
      const path = join(storage.imageDirectory, names[damage as keyof typeof names]);
      const bytes = await readFile(path);
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
      await writeFile(path, bytes);
      await storage.close();
      for (let start = 0; start < 2; start++) {
        const again = await open(directory, engine);
        expect([damage, [...again.impaired.keys()]]).toEqual([damage, [GROUP]]);
        await isAsBefore(again, OTHER);
        if (start === 1) await wipeReplica(again, GROUP);
        await again.close();
      }
      const wiped = await open(directory, engine);
      expect([damage, [...wiped.impaired.keys()]]).toEqual([damage, []]);
      expect(wiped.entryLog.groups.has(GROUP)).toBe(false);
      await wiped.close();
    }
  });
});

describe('a wiped replica', () => {
  test('interrupted at any change, is as before or will be wiped, and what it promised is known', async () => {
    for (let crashAfter = 0; ; crashAfter++) {
      const directory = await newDirectory();
      const engine = new KeptEngine();
      const files = new CrashingFiles();
      const storage = await open(directory, engine, files);
      await fill(storage);
      const notes = new ImpairedNotes(storage, silentLogger, () => false);
      notes.write(GROUP, new Error('of a test'));
      await notes.settled();
      files.changes = 0;
      files.crashAfter = crashAfter;
      let whole = false;
      try {
        await wipeReplica(storage, GROUP);
        whole = true;
      } catch {}
      await storage.close().catch(() => {});
      const again = await open(directory, engine);
      const promise = await readPromise(again, GROUP);
      if (promise === undefined) {
        await isAsBefore(again, GROUP);
        expect([crashAfter, [...again.impaired.keys()]]).toEqual([crashAfter, [GROUP]]);
      } else {
        expect([crashAfter, promise]).toEqual([crashAfter, { term: 2, vote: 1, lastTerm: 2, lastIndex: 7 }]);
        expect(again.entryLog.groups.has(GROUP)).toBe(false);
        expect(await rowsOf(again, GROUP)).toEqual([]);
        expect(await appliedOf(again, GROUP)).toBe(0);
        expect([...again.impaired.keys()]).toEqual([]);
        expect(await noteNames(directory)).toEqual([`${GROUP}.promise`]);
      }
      await isAsBefore(again, OTHER);
      await again.close();
      if (whole) break;
      expect(crashAfter).toBeLessThan(40);
    }
  });

  test('promises at least what each of its lives promised', async () => {
    const directory = await newDirectory();
    const storage = await open(directory, new KeptEngine());
    await fill(storage);
    await wipeReplica(storage, GROUP);
    // A second life that gets less far, and votes in a later term.
    const hardState = { term: 9, vote: 3, commit: 1 };
    await storage.entryLog.append([{ groupId: GROUP, hardState, entries: [entry(1, 1, 'again')] }]);
    await wipeReplica(storage, GROUP);
    const promise = await readPromise(storage, GROUP);
    expect(promise).toEqual({ term: 9, vote: 3, lastTerm: 2, lastIndex: 7 });
    // Wiping nothing forgets nothing.
    await wipeReplica(storage, GROUP);
    expect(await readPromise(storage, GROUP)).toEqual(promise);
    await storage.close();
  });

  test('begins in the term and with the vote it had, and keeps its promise from there on', () => {
    const promise = { term: 4, vote: 2, lastTerm: 3, lastIndex: 10 };
    expect(hardStateWith(promise, undefined)).toEqual({ term: 4, vote: 2, commit: 0 });
    expect(hardStateWith(promise, { term: 4, vote: 0, commit: 8 })).toEqual({ term: 4, vote: 2, commit: 8 });
    expect(hardStateWith(promise, { term: 4, vote: 3, commit: 8 })).toEqual({ term: 4, vote: 3, commit: 8 });
    expect(hardStateWith(promise, { term: 5, vote: 0, commit: 8 })).toEqual({ term: 5, vote: 0, commit: 8 });
    expect(hardStateWith(undefined, { term: 1, vote: 1, commit: 1 })).toEqual({ term: 1, vote: 1, commit: 1 });
    expect(keepsPromise(promise, 3, 9)).toBe(false);
    expect(keepsPromise(promise, 2, 99)).toBe(false);
    expect(keepsPromise(promise, 3, 10)).toBe(true);
    expect(keepsPromise(promise, 4, 1)).toBe(true);
  });
});
