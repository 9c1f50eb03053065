import { join } from 'node:path';
import type { Logger } from '@sluice/common/logger';
import type { SegmentSummary } from '../../entry-log-contract.ts';
import type { FileOperations } from '../../files/file-operations.ts';
import type { SealedFacts } from '../group/base-state.ts';
import { cutRanges, mayHold, rangesOf } from '../group/index-ranges.ts';
import type { RowColumns, SegmentRows } from '../group/row-columns.ts';
import { damaged } from '../log-errors.ts';
import { segmentFile, sidecarFile } from './segment-header.ts';
import { scanSegment } from './segment-scan.ts';
import { readSidecar, readSidecarRows, type SegmentIndex, writeSidecar } from './sidecar.ts';

/** Rows of sealed segments kept in memory: 33 bytes an entry, so about 250,000 of them. */
const CACHED_ROWS_BYTES_MAX = 8 * 1024 * 1024;

/** A segment that is never written again. */
export interface SealedSegment extends SealedFacts {
  seed: number;
  /** Which indexes it holds, by group; what later segments superseded is already cut off. */
  index: SegmentIndex;
  /** The rows in memory while the sidecar is not yet on the disk. */
  fresh: SegmentRows | undefined;
  /** It was given back: its files go, and may be those of another one by now. */
  isReleased: boolean;
}

/** The sealed segments by age, their resident summaries, and a bounded cache of their rows. */
export class SealedSegments {
  readonly #files: FileOperations;
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #segments = new Map<number, SealedSegment>();
  readonly #cache = new Map<string, RowColumns>();
  readonly #rebuilding = new Map<number, Promise<SegmentRows>>();
  /** How many read the file by its name. */
  readonly #reading = new Map<number, number>();
  #cachedBytes = 0;
  bytes = 0;

  constructor(files: FileOperations, directory: string, logger: Logger) {
    this.#files = files;
    this.#directory = directory;
    this.#logger = logger;
  }

  /** A segment that was just written to its end; its rows stay in memory until `persist`. */
  addFresh(facts: SealedFacts, seed: number, rows: SegmentRows): SealedSegment {
    const segment: SealedSegment = { ...facts, seed, index: indexOf(rows), fresh: rows, isReleased: false };
    this.#add(segment);
    return segment;
  }

  #add(segment: SealedSegment): void {
    this.#segments.set(segment.segmentId, segment);
    this.bytes += segment.bytes;
  }

  /** Reads the summary of a segment found at recovery, from its sidecar or by scanning it. In ascending order of ids. */
  async load(facts: SealedFacts, seed: number): Promise<void> {
    const segment: SealedSegment = { ...facts, seed, index: new Map(), fresh: undefined, isReleased: false };
    const found = await readSidecar(this.#files, this.#sidecarPath(segment), sidecarOf(segment));
    if ('unusable' in found) await this.#rebuild(segment, found.unusable);
    else this.#adopt(segment, found);
    this.#add(segment);
  }

  /** The file is read as a whole, and must stay what it is. */
  async reading<T>(segmentId: number, read: () => Promise<T>): Promise<T> {
    this.#reading.set(segmentId, (this.#reading.get(segmentId) ?? 0) + 1);
    try {
      return await read();
    } finally {
      const left = (this.#reading.get(segmentId) ?? 0) - 1;
      if (left > 0) this.#reading.set(segmentId, left);
      else this.#reading.delete(segmentId);
    }
  }

  isRead(segmentId: number): boolean {
    return this.#reading.has(segmentId);
  }

  get(segmentId: number): SealedSegment | undefined {
    return this.#segments.get(segmentId);
  }
  values(): IterableIterator<SealedSegment> {
    return this.#segments.values();
  }
  facts(): SealedFacts[] {
    return [...this.#segments.values()].map(({ segmentId, bytes, cuts }) => ({ segmentId, bytes, cuts }));
  }

  summaries(): SegmentSummary[] {
    return [...this.#segments.values()].map((segment) => {
      const groups = new Map<number, { first: number; last: number }>();
      for (const [groupId, { ranges }] of segment.index) {
        const [first] = ranges;
        const last = ranges[ranges.length - 1];
        if (first !== undefined && last !== undefined) groups.set(groupId, { first: first.first, last: last.last });
      }
      return { segmentId: segment.segmentId, bytes: segment.bytes, groups };
    });
  }

  /** Entries of the group from `index` on are superseded in all of them. */
  cut(groupId: number, index: number): void {
    for (const segment of this.#segments.values()) {
      const group = segment.index.get(groupId);
      if (group === undefined) continue;
      const last = group.ranges[group.ranges.length - 1];
      if (last === undefined || last.last < index) continue;
      segment.cuts.set(groupId, Math.min(index, segment.cuts.get(groupId) ?? index));
      cutRanges(group.ranges, index);
    }
  }

  /** Newest first, those that may hold the entry. */
  candidates(groupId: number, index: number): SealedSegment[] {
    const found: SealedSegment[] = [];
    for (const segment of this.#segments.values()) {
      const group = segment.index.get(groupId);
      if (group !== undefined && mayHold(group.ranges, index)) found.push(segment);
    }
    return found.reverse();
  }

  /** All rows of the group in it, superseded ones included. Undefined when it has none, or was released meanwhile. */
  async rows(segment: SealedSegment, groupId: number): Promise<RowColumns | undefined> {
    const fresh = segment.fresh?.get(groupId);
    if (fresh !== undefined) return fresh;
    const key = `${segment.segmentId}/${groupId}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) {
      this.#cache.delete(key);
      this.#cache.set(key, cached);
      return cached;
    }
    const group = segment.index.get(groupId);
    if (group === undefined) return undefined;
    let rows = await readSidecarRows(this.#files, this.#sidecarPath(segment), group);
    if (rows === undefined && !segment.isReleased) {
      rows = (await this.#rebuild(segment, 'its rows do not match their checksum')).get(groupId);
    }
    if (rows !== undefined && !segment.isReleased) this.#remember(key, rows);
    return rows;
  }

  remove(segmentId: number): void {
    const segment = this.#segments.get(segmentId);
    if (segment === undefined) return;
    this.#segments.delete(segmentId);
    segment.isReleased = true;
    this.bytes -= segment.bytes;
    for (const groupId of segment.index.keys()) this.#drop(`${segmentId}/${groupId}`);
  }

  /** Puts the rows of a just sealed segment on the disk; until then, or when that fails, nothing depends on it. */
  async persist(segment: SealedSegment): Promise<void> {
    const { fresh } = segment;
    if (fresh === undefined) return;
    const path = this.#sidecarPath(segment);
    try {
      const index = await writeSidecar(this.#files, path, sidecarOf(segment), fresh);
      this.#adopt(segment, index);
      // Who released it meanwhile has removed what was there then.
      if (segment.isReleased) await this.#files.unlink(path);
    } catch (err) {
      this.#logger.warn({ err, file: path }, 'could not write a segment index; it will be rebuilt');
    }
    segment.fresh = undefined;
  }

  /** Once for all who ask meanwhile. */
  #rebuild(segment: SealedSegment, why: string): Promise<SegmentRows> {
    const { segmentId } = segment;
    let rebuilding = this.#rebuilding.get(segmentId);
    if (rebuilding === undefined) {
      rebuilding = this.#scan(segment, why).finally(() => this.#rebuilding.delete(segmentId));
      this.#rebuilding.set(segmentId, rebuilding);
    }
    return rebuilding;
  }

  async #scan(segment: SealedSegment, why: string): Promise<SegmentRows> {
    const path = join(this.#directory, segmentFile(segment.segmentId));
    this.#logger.warn({ file: this.#sidecarPath(segment), why }, 'a segment index is unusable; rebuilding it');
    const { segmentId } = segment;
    const scan = await this.reading(segmentId, () => scanSegment(this.#files, path, segmentId)).catch(
      (error: unknown) => {
        if (!segment.isReleased) throw error;
        return undefined;
      },
    );
    // What was read may be another segment by then, and whoever asks finds what lives of this one elsewhere.
    if (scan === undefined || segment.isReleased) return new Map();
    checkWhole(path, segment.bytes, scan.end, scan.stop);
    segment.fresh = scan.rows;
    // Where writing it fails, what was found must not be forgotten: only the rows are read from the segment again.
    this.#adopt(segment, indexOf(scan.rows));
    await this.persist(segment);
    return scan.rows;
  }

  #adopt(segment: SealedSegment, index: SegmentIndex): void {
    for (const [groupId, cutIndex] of segment.cuts) {
      const group = index.get(groupId);
      if (group !== undefined) cutRanges(group.ranges, cutIndex);
    }
    segment.index = index;
  }

  #remember(key: string, rows: RowColumns): void {
    this.#drop(key);
    this.#cache.set(key, rows);
    this.#cachedBytes += rows.memoryBytes;
    for (const oldest of this.#cache.keys()) {
      if (this.#cachedBytes <= CACHED_ROWS_BYTES_MAX || oldest === key) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const rows = this.#cache.get(key);
    if (rows === undefined) return;
    this.#cache.delete(key);
    this.#cachedBytes -= rows.memoryBytes;
  }

  #sidecarPath(segment: SealedSegment): string {
    return join(this.#directory, sidecarFile(segment.segmentId));
  }
}

/** Of rows that are on no disk: whoever reads them there finds nothing, and has them rebuilt. */
function indexOf(rows: SegmentRows): SegmentIndex {
  const index: SegmentIndex = new Map();
  for (const [groupId, columns] of rows) {
    if (columns.length === 0) continue;
    index.set(groupId, { ranges: rangesOf(columns), position: 0, rowCount: columns.length, rowsCrc: 0 });
  }
  return index;
}

/** A sealed segment ends where it ended when it was sealed. */
export function checkWhole(
  path: string,
  bytes: number,
  end: number,
  stop: { position: number; expected: string } | undefined,
): void {
  if (stop !== undefined) throw damaged(path, stop.position, stop.expected);
  if (end !== bytes)
    throw damaged(path, Math.min(end, bytes), `the segment to end at byte ${bytes}, not at byte ${end}`);
}

function sidecarOf(segment: SealedSegment) {
  return { segmentId: segment.segmentId, segmentBytes: segment.bytes, seed: segment.seed };
}
