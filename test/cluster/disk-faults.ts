import { closeSync, fstatSync, openSync, readdirSync, readSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Prng } from '@sluice/common/prng';
import { pause } from '../faults/kill-rounds.ts';
import { LOOP_DISK } from '../faults/loop-disk.ts';
import { failSyncs, STRACE } from '../faults/sync-faults.ts';
import { patiently } from './cluster-under-test.ts';
import { type FaultKind, pick } from './fault.ts';

const MB = 1024 * 1024;
const DISKS = { needs: [LOOP_DISK], cluster: { diskBytes: 1024 * MB, flags: ['--set', 'storage.segmentSize=16MB'] } };
const SMALL_SEGMENTS = ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=512KB'];
const QUEUES = ['tasks/+', 'strict/+', 'spread/+', 'later/+'];
const DOWN_MS_MAX = 3_000;
const UNSYNCED_MS = 1_500;
const FENCE_MS_MAX = 1_000;
const FULL_MS = 5_000;
const PAGE_BYTES = 4_096;
const WAIT_MS = 30_000;

export const F13: FaultKind = {
  id: 'F13',
  title: 'the power of one store fails: what was not synced is gone',
  ...DISKS,
  async strike({ cluster, prng }) {
    const queue = pick(prng, QUEUES);
    const name = await cluster.leaderOf(queue);
    cluster.disk(name).losePower();
    await cluster.node(name).kill();
    const downMs = prng.below(DOWN_MS_MAX);
    await pause(downMs);
    cluster.disk(name).restorePower();
    await cluster.restart(name);
    return `power of ${name}, which led ${queue}, off for ${downMs} ms`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 3_000, resumeMs: 3_000, restMs: 60_000 },
};

async function allLosePower({ cluster, prng }: Parameters<FaultKind['strike']>[0]): Promise<string> {
  const stores = cluster.withRole('store');
  for (const { name } of stores) cluster.disk(name).losePower();
  await Promise.all(stores.map((store) => store.kill()));
  const downMs = prng.below(DOWN_MS_MAX);
  await pause(downMs);
  for (const { name } of stores) cluster.disk(name).restorePower();
  await Promise.all(stores.map(({ name }) => cluster.restart(name)));
  return `power of all ${stores.length} stores off for ${downMs} ms`;
}

export const F14: FaultKind = {
  id: 'F14',
  title: 'the power of all stores fails at once',
  ...DISKS,
  strike: allLosePower,
  keepsHeld: true,
  bounds: { resumeMs: 60_000, restMs: 60_000 },
};

export const F15: FaultKind = {
  id: 'F15',
  title: 'negative control: the power of all stores fails, and nothing was synced',
  ...DISKS,
  cluster: { ...DISKS.cluster, flags: [...DISKS.cluster.flags, '--set', 'storage.sync=false'] },
  async strike(arena) {
    // The cluster itself stands on the disks; what follows is what may be lost.
    for (const { name } of arena.cluster.withRole('store')) arena.cluster.disk(name).flush();
    await pause(UNSYNCED_MS);
    return await allLosePower(arena);
  },
  bounds: { resumeMs: 60_000, restMs: 60_000 },
  mustLose: true,
};

export const F16: FaultKind = {
  id: 'F16',
  title: 'fdatasync of a leading store fails, for ever; it is started again later',
  needs: [STRACE],
  async strike({ cluster, prng, beyond }) {
    const queue = pick(prng, QUEUES);
    const name = await cluster.leaderOf(queue);
    const store = cluster.node(name);
    const stopFailing = await failSyncs(store.pid as number);
    const fromMs = performance.now();
    await patiently(
      `${name} to fence itself`,
      fromMs + WAIT_MS,
      async () => (await cluster.metric(name, 'sluice_raft_fenced')) === 1,
    );
    const fencedMs = performance.now() - fromMs;
    await patiently(
      `others to lead instead of ${name}`,
      fromMs + WAIT_MS,
      async () => (await cluster.leaderOf(queue)) !== name,
    );
    const movedMs = performance.now() - fromMs;
    await stopFailing();
    await pause(1_000);
    await store.stop();
    await cluster.restart(name);
    if (fencedMs > FENCE_MS_MAX) beyond(`${name} fenced itself after ${Math.round(fencedMs)} ms only`);
    return `${name}, which led ${queue}, fenced after ${Math.round(fencedMs)} ms, replaced after ${Math.round(movedMs)} ms`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 5_000, resumeMs: 5_000, restMs: 30_000 },
};

export const F19: FaultKind = {
  id: 'F19',
  title: 'the disk of a leading store is filled to its last byte, and freed later',
  needs: [LOOP_DISK],
  cluster: { diskBytes: 256 * MB, flags: SMALL_SEGMENTS },
  async strike({ cluster, prng }) {
    const queue = pick(prng, QUEUES);
    const name = await cluster.leaderOf(queue);
    const { pid } = cluster.node(name);
    const disk = cluster.disk(name);
    const untilMs = performance.now() + FULL_MS;
    // Again and again: what is given up or given back is taken too.
    while (performance.now() < untilMs) {
      await disk.fillAside();
      await pause(500);
    }
    const leftBytes = disk.freeBytes;
    disk.removeFiller();
    if (cluster.node(name).pid !== pid || !cluster.node(name).isRunning)
      throw new Error(`${name} ended on its full disk`);
    return `the disk of ${name}, which led ${queue}, full for ${FULL_MS} ms, with ${leftBytes} bytes left at the end`;
  },
  bounds: { gapWorstMs: 10_000, resumeMs: 10_000, restMs: 60_000 },
};

export const F20: FaultKind = {
  id: 'F20',
  title: 'files of one replica are damaged while it is down',
  cluster: { flags: SMALL_SEGMENTS },
  async strike({ cluster, prng }) {
    const name = await cluster.leaderOf(pick(prng, QUEUES));
    const store = cluster.node(name);
    await store.kill();
    const what = damage(store.data, prng);
    await cluster.restart(name).catch(async (cause) => {
      // It may refuse to run on what it cannot trust, and says so: then the operator gives it an empty disk.
      if (!String(cause).includes('ended before it was ready')) throw cause;
      rmSync(store.data, { recursive: true });
      await cluster.restart(name);
    });
    return `${name} killed, ${what}`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 5_000, resumeMs: 5_000, restMs: 90_000 },
};

export const F21: FaultKind = {
  id: 'F21',
  title: 'a store comes back on an empty disk under its old name',
  async strike({ cluster, prng }) {
    const name = await cluster.leaderOf(pick(prng, QUEUES));
    const store = cluster.node(name);
    const before = await cluster.idOf(name);
    await store.kill();
    rmSync(store.data, { recursive: true });
    await cluster.restart(name);
    const after = await cluster.idOf(name);
    if (before === after) throw new Error(`${name} came back as node ${after}, which forgot what it had promised`);
    return `${name}, node ${before}, lost its disk and came back as node ${after}`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 5_000, resumeMs: 5_000, restMs: 90_000 },
};

/** A byte, a page, or the end of any file. */
function damage(data: string, prng: Prng): string {
  const files = filesOf(data).filter(({ bytes }) => bytes > 0);
  const { path, bytes } = pick(prng, files);
  const at = prng.below(bytes);
  const name = relative(data, path);
  const kind = prng.below(3);
  if (kind === 0) {
    truncateSync(path, at);
    return `${name} cut off at ${at} of ${bytes}`;
  }
  const fd = openSync(path, 'r+');
  try {
    if (kind === 1) {
      const byte = Buffer.alloc(1);
      readSync(fd, byte, 0, 1, at);
      byte[0] = (byte[0] as number) ^ (1 << prng.below(8));
      writeSync(fd, byte, 0, 1, at);
      return `a bit of ${name} flipped at ${at} of ${bytes}`;
    }
    const page = at - (at % PAGE_BYTES);
    writeSync(fd, Buffer.alloc(Math.min(PAGE_BYTES, bytes - page)), 0, undefined, page);
    return `a page of ${name} zeroed at ${page} of ${bytes}`;
  } finally {
    closeSync(fd);
  }
}

function filesOf(folder: string): { path: string; bytes: number }[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesOf(path);
    const fd = openSync(path, 'r');
    try {
      return [{ path, bytes: fstatSync(fd).size }];
    } finally {
      closeSync(fd);
    }
  });
}
