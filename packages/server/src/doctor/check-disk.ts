import { constants } from 'node:fs';
import { access, mkdtemp, open, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { humanizeSize } from '@sluice/common/human-size';
import { DiskGuard } from '@sluice/store/disk-guard';
import type { ServerConfig } from '../config/config.ts';
import { type Finding, failure, note, ok, warning } from './finding.ts';

/** Numbers of statfs(2): what keeps nothing, or what calls a write durable that another machine may lose. */
const NO_DISKS = new Map([
  [0x0102_1994, 'tmpfs, which is memory'],
  [0x8584_58f6, 'ramfs, which is memory'],
]);
const DISTANT = new Map([
  [0x6969, 'NFS'],
  [0xff53_4d42, 'CIFS'],
  [0xfe53_4d42, 'SMB'],
  [0x6573_5546, 'FUSE'],
]);
const SYNCS = 32;
const SYNC_BYTES = 4096;
/** No disk is that quick: the pages went to memory, or to a cache that the power takes along. */
const SYNC_MS_MIN = 0.02;
const SYNC_MS_SLOW = 20;

/** The data directory: whether it can be written, how much fits, and what one synced write costs, since each message pays a share of it. */
export async function checkDisk({ node, storage }: ServerConfig): Promise<Finding[]> {
  if (!node.roles.has('store') && !node.roles.has('coordinator')) return [];
  const wanted = resolve(node.dataDirectory);
  const directory = await nearestExisting(wanted);
  try {
    await access(directory, constants.W_OK);
  } catch {
    return [
      failure(
        'data',
        `${directory} cannot be written by this user`,
        'Change its owner, or node.dataDirectory (--data)',
      ),
    ];
  }
  const { type, bsize, bavail, blocks } = await statfs(directory);
  return [
    checkKind(directory, type),
    checkSpace(directory, bavail * bsize, blocks * bsize),
    storage.sync
      ? judgeSyncs(await measureSyncs(directory))
      : warning(
          'sync',
          'storage.sync is off: what is acknowledged is lost with the power',
          'Only for tests: set storage.sync: true',
        ),
  ];
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found !== undefined || at === dirname(at)) return at;
  }
}

function checkKind(directory: string, type: number): Finding {
  const memory = NO_DISKS.get(type);
  if (memory !== undefined)
    return failure(
      'data',
      `${directory} is on ${memory}: nothing outlives a restart of the machine`,
      'Name a directory on a disk (--data)',
    );
  const distant = DISTANT.get(type);
  if (distant !== undefined)
    return warning(
      'data',
      `${directory} is on ${distant}`,
      'Use a local disk or a block volume: a sync over the network is slow, and not always one',
    );
  return ok('data', directory);
}

function checkSpace(directory: string, freeBytes: number, totalBytes: number): Finding {
  const free = `${humanizeSize(freeBytes)} of ${humanizeSize(totalBytes)} are free`;
  if (freeBytes <= DiskGuard.reserveOf(totalBytes))
    return failure(
      'space',
      `${free} at ${directory}: publishes are refused`,
      'Make room, or give the data a larger disk',
    );
  if (freeBytes < totalBytes * 0.1) return warning('space', `${free} at ${directory}`, 'Make room before it is full');
  return ok('space', free);
}

/** Milliseconds of synced writes like those of the entry log, ascending. */
async function measureSyncs(directory: string): Promise<number[]> {
  const folder = await mkdtemp(join(directory, '.doctor-'));
  try {
    const file = await open(join(folder, 'syncs'), 'w');
    try {
      const bytes = Buffer.alloc(SYNC_BYTES, 1);
      const tookMs: number[] = [];
      for (let i = 0; i < SYNCS; i++) {
        const startMs = performance.now();
        await file.write(bytes, 0, bytes.length, i * bytes.length);
        await file.datasync();
        tookMs.push(performance.now() - startMs);
      }
      return tookMs.sort((a, b) => a - b);
    } finally {
      await file.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function judgeSyncs(tookMs: readonly number[]): Finding {
  const median = tookMs[tookMs.length >> 1] as number;
  const worst = tookMs.at(-1) as number;
  const said = `a synced write takes ${median.toFixed(2)} ms (median of ${tookMs.length}), at worst ${worst.toFixed(1)} ms`;
  if (median < SYNC_MS_MIN)
    return note(
      'sync',
      `${said}: no disk is that quick`,
      'Make sure that a write cache has a battery, and that this is a disk',
    );
  if (median > SYNC_MS_SLOW)
    return warning('sync', said, 'Every publish waits for one: use a faster disk, or one that nobody else keeps busy');
  return ok('sync', said);
}
