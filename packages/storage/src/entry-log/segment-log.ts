import { assert } from '@sluice/common/assert';
import type { Logger } from '@sluice/common/logger';
import type { Gauge, Metrics } from '@sluice/common/metrics';
import type { Entry, EntryKind, HardState } from '@sluice/raft/entry';
import { checksum } from '../checksum.ts';
import type { EntryLog, LogMark, LogWrite, RecoveredGroup, SegmentSummary } from '../entry-log-contract.ts';
import { errorCode, type FileOperations } from '../files/file-operations.ts';
import type { DirectoryLock } from './directory-lock.ts';
import { readNear, readRun, takeRun } from './entry-reader.ts';
import { chainOf, RESETS, RecordType, SUPERSEDES } from './frame/frame-format.ts';
import type { BaseState } from './group/base-state.ts';
import { GroupState, type PendingMark } from './group/group-state.ts';
import { rangeEnd } from './group/index-ranges.ts';
import { rowsOf, type SegmentRows } from './group/row-columns.ts';
import { damaged, missing } from './log-errors.ts';
import type { LogWriter, SegmentSealer } from './log-writer.ts';
import type { ActiveSegment } from './segment/active-segment.ts';
import { releaseSegment } from './segment/release-segment.ts';
import { checkWhole, type SealedSegments } from './segment/sealed-segments.ts';
import type { SegmentFiles } from './segment/segment-files.ts';
import { scanSegment } from './segment/segment-scan.ts';
import type { SpareSegments } from './segment/spare-segments.ts';
import type { SpaceReserve } from './space-reserve.ts';

export interface SegmentLogParts {
  files: FileOperations;
  logger: Logger;
  metrics: Metrics;
  directory: string;
  lock: DirectoryLock;
  writer: LogWriter;
  segmentFiles: SegmentFiles;
  sealed: SealedSegments;
  groups: Map<number, GroupState>;
  /** Released segments whose files are not removed yet, or could not be. */
  leftovers: number[];
  reserve: SpaceReserve;
  spares: SpareSegments;
  segmentBytes: number;
  diskGauge: Gauge;
}

/** Entries of one frame that is being written: what becomes visible when it is durable. */
interface PlannedWrite {
  group: GroupState;
  hardState: HardState | undefined;
  entries: readonly Entry[];
  dataCrcs: number[];
  chains: number[];
  offsets: number[];
}

/** A place where an entry stands. */
export interface EntryPlace {
  segmentId: number;
  rows: NonNullable<ReturnType<SegmentRows['get']>>;
  at: number;
  /** Rows behind this index may be superseded. */
  last: number;
}

/**
 * The entry log over segment files. Frames are written one after the other (`exclusive`); memory shows an append only
 * when it is durable. A front cut shows at once and rides on the next frame.
 */
export class SegmentLog implements EntryLog, SegmentSealer {
  readonly parts: SegmentLogParts;
  readonly #groups: Map<number, GroupState>;
  readonly #writer: LogWriter;
  readonly #sealed: SealedSegments;
  #tail: Promise<unknown> = Promise.resolve();
  #sidecars: Promise<void> = Promise.resolve();
  #releases: Promise<void> = Promise.resolve();
  #appending = false;
  #closed: Promise<void> | undefined = undefined;

  constructor(parts: SegmentLogParts) {
    this.parts = parts;
    this.#groups = parts.groups;
    this.#writer = parts.writer;
    this.#sealed = parts.sealed;
  }

  get groups(): ReadonlyMap<number, RecoveredGroup> {
    return this.#groups;
  }
  get diskBytes(): number {
    return this.#sealed.bytes + this.#writer.active.end;
  }

  mark(): LogMark {
    const { segmentId, end } = this.#writer.active;
    return { segmentId, position: end };
  }
  term(groupId: number, index: number): number | undefined {
    return this.#groups.get(groupId)?.term(index);
  }
  firstIndex(groupId: number): number {
    return this.#groups.get(groupId)?.firstIndex ?? 1;
  }
  lastIndex(groupId: number): number {
    return this.#groups.get(groupId)?.lastIndex ?? 0;
  }
  sizeBytes(groupId: number, index: number): number {
    const group = this.#groups.get(groupId);
    assert(group !== undefined, 'sizes are asked of groups that have entries');
    return group.dataBytes(index);
  }
  async kind(groupId: number, index: number): Promise<EntryKind | undefined> {
    const place = await this.locate(groupId, index);
    return place?.rows.kindAt(place.at);
  }

  async append(writes: readonly LogWrite[]): Promise<void> {
    assert(!this.#appending, 'one append at a time: the next turn gathers while this one syncs');
    this.#appending = true;
    try {
      await this.exclusive(() => this.#append(writes));
    } finally {
      this.#appending = false;
    }
  }

  async #append(writes: readonly LogWrite[]): Promise<void> {
    const { builder } = this.#writer;
    this.#writer.assertWritable();
    builder.start();
    const marks = this.addMarks();
    const planned: PlannedWrite[] = [];
    try {
      for (const write of writes) {
        if (write.entries.length > 0 || write.hardState !== undefined) planned.push(this.#plan(write, planned));
      }
      if (builder.recordCount === 0) return;
      const payloadsAt = await this.#writer.writeFrame(this);
      this.settleMarks(marks);
      for (const plan of planned) this.#show(plan, payloadsAt);
    } finally {
      for (const { group } of planned) group.writing = false;
    }
  }

  /** Checks one group's write and adds its records. */
  #plan({ groupId, hardState, entries }: LogWrite, before: readonly PlannedWrite[]): PlannedWrite {
    assert(Number.isInteger(groupId) && groupId >= 0 && groupId <= 0xffff_ffff, 'group ids are 32-bit');
    const known = this.#groups.get(groupId) ?? before.find((plan) => plan.group.groupId === groupId)?.group;
    const group = known ?? new GroupState(groupId);
    const { builder } = this.#writer;
    assert(!group.writing, 'a turn gathers all writes of a group into one');
    const { length } = entries;
    // Nearly always one entry: an array that is pushed to from nothing takes room for seventeen.
    const [dataCrcs, chains, offsets] = [
      new Array<number>(length),
      new Array<number>(length),
      new Array<number>(length),
    ];
    const plan: PlannedWrite = { group, hardState, entries, dataCrcs, chains, offsets };
    const [first] = entries;
    if (first !== undefined) {
      assert(first.index >= group.firstIndex, 'what an image covers is committed and cannot be superseded');
      assert(first.index <= group.lastIndex + 1, 'a group has no gap in its log');
      let flags = first.index <= group.lastIndex ? SUPERSEDES : 0;
      let chain = group.chain(first.index - 1);
      let term = group.term(first.index - 1) ?? 0;
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[i] as Entry;
        assert(entry.index === first.index + i, 'the entries of one write follow each other');
        assert(entry.term >= term, 'terms never fall along a log');
        term = entry.term;
        const dataCrc = checksum(entry.data);
        chain = chainOf(chain, term, entry.index, dataCrc);
        dataCrcs[i] = dataCrc;
        chains[i] = chain;
        const { kind, index, data } = entry;
        offsets[i] = builder.data(RecordType.ENTRY, kind, flags, groupId, term, index, data, dataCrc, chain);
        flags = 0;
      }
    }
    if (hardState !== undefined) builder.hardState(groupId, hardState);
    group.writing = true;
    return plan;
  }

  /** Makes a durable write visible. */
  #show({ group, hardState, entries, dataCrcs, chains, offsets }: PlannedWrite, payloadsAt: number): void {
    const { groupId } = group;
    this.#groups.set(groupId, group);
    if (hardState !== undefined) group.hardState = { ...hardState };
    const [first] = entries;
    if (first === undefined) return;
    const rows = rowsOf(this.#writer.active.rows, groupId);
    if (first.index <= group.lastIndex) {
      group.cutFrom(first.index);
      rows.cutFrom(first.index);
      this.#sealed.cut(groupId, first.index);
    }
    for (let i = 0; i < entries.length; i++) {
      const { term, index, kind, data } = entries[i] as Entry;
      const chain = chains[i] as number;
      group.push(term, data.length, chain);
      rows.set(index, term, payloadsAt + (offsets[i] as number), data.length, dataCrcs[i] as number, chain, kind);
    }
  }

  compact(groupId: number, index: number, term: number): void {
    const group = this.#groups.get(groupId) ?? new GroupState(groupId);
    const held = group.term(index);
    if (held === term) {
      if (index < group.firstIndex) return;
      group.compactTo(index);
    } else if (index < group.firstIndex) return;
    else {
      assert(!group.writing, 'a log is not voided under a write to it');
      // Its real chain is unknown here; any value all later ones start from will do.
      group.reset(index, term, chainOf(0, term, index, 0));
      this.#writer.active.rows.delete(groupId);
      this.#sealed.cut(groupId, 0);
    }
    const resets = held !== term || (group.pendingMark?.resets ?? false);
    group.pendingMark = { index, term, chain: group.compactedChain, resets };
    this.#groups.set(groupId, group);
  }

  /** Adds the front cuts that are not yet durable to the frame. */
  addMarks(): [GroupState, PendingMark][] {
    const marks: [GroupState, PendingMark][] = [];
    for (const group of this.#groups.values()) {
      const { pendingMark, groupId } = group;
      if (pendingMark === undefined) continue;
      const { index, term, chain, resets } = pendingMark;
      this.#writer.builder.note(RecordType.MARK, resets ? RESETS : 0, groupId, term, index, chain);
      marks.push([group, pendingMark]);
    }
    return marks;
  }

  settleMarks(marks: readonly [GroupState, PendingMark][]): void {
    for (const [group, mark] of marks) {
      if (group.pendingMark === mark) group.pendingMark = undefined;
    }
  }

  async adopt(groupId: number, entries: readonly Entry[]): Promise<void> {
    await this.exclusive(async () => {
      const group = this.#groups.get(groupId);
      assert(group !== undefined, 'an image came before its live entries');
      const { builder } = this.#writer;
      this.#writer.assertWritable();
      builder.start();
      const marks = this.addMarks();
      const { generation } = group;
      const dataCrcs: number[] = [];
      const offsets: number[] = [];
      for (const { kind, term, index, data } of entries) {
        assert(index < group.firstIndex, 'entries of the contiguous log are appended');
        const dataCrc = checksum(data);
        dataCrcs.push(dataCrc);
        offsets.push(builder.data(RecordType.MOVED, kind, 0, groupId, term, index, data, dataCrc, 0));
      }
      if (builder.recordCount === 0) return;
      const payloadsAt = await this.#writer.writeFrame(this);
      this.settleMarks(marks);
      if (this.#groups.get(groupId) !== group || group.generation !== generation) return;
      const rows = rowsOf(this.#writer.active.rows, groupId);
      for (let i = 0; i < entries.length; i++) {
        const { kind, term, index, data } = entries[i] as Entry;
        rows.set(index, term, payloadsAt + (offsets[i] as number), data.length, dataCrcs[i] as number, 0, kind);
      }
    });
  }

  async restart(groupId: number, index: number, term: number, hardState: HardState): Promise<void> {
    await this.exclusive(async () => {
      this.#writer.assertWritable();
      if (index < this.firstIndex(groupId)) return;
      const group = this.#groups.get(groupId) ?? new GroupState(groupId);
      assert(!group.writing, 'a log is not voided under a write to it');
      const { builder } = this.#writer;
      builder.start();
      const marks = this.addMarks();
      const chain = chainOf(0, term, index, 0);
      builder.note(RecordType.MARK, RESETS, groupId, term, index, chain);
      builder.hardState(groupId, hardState);
      // A new segment that begins with this frame begins with the group as it was, or a crash between the two would
      // leave the log restarted without its hard state.
      await this.#writer.writeFrame(this);
      this.settleMarks(marks);
      group.pendingMark = undefined;
      group.reset(index, term, chain);
      group.hardState = { ...hardState };
      this.#groups.set(groupId, group);
      this.#writer.active.rows.delete(groupId);
      this.#sealed.cut(groupId, 0);
    });
  }

  async remove(groupId: number): Promise<void> {
    await this.exclusive(async () => {
      const group = this.#groups.get(groupId);
      if (group === undefined) return;
      this.#writer.builder.start();
      this.#writer.builder.note(RecordType.REMOVED, 0, groupId, 0, 0, 0);
      await this.#writer.writeFrame(this);
      this.#groups.delete(groupId);
      this.#writer.active.rows.delete(groupId);
      this.#sealed.cut(groupId, 0);
    });
  }

  read(groupId: number, first: number, last: number, bytesMax: number): Promise<Entry[]> {
    return this.#read(groupId, first, last, bytesMax, false);
  }

  readNear(groupId: number, first: number, last: number, bytesMax: number): Promise<Entry[]> {
    return this.#read(groupId, first, last, bytesMax, true);
  }

  async #read(groupId: number, first: number, last: number, bytesMax: number, isNear: boolean): Promise<Entry[]> {
    const entries: Entry[] = [];
    let bytesLeft = bytesMax;
    let index = first;
    while (index <= last && (entries.length === 0 || bytesLeft > 0)) {
      const place = await this.locate(groupId, index);
      if (place === undefined) break;
      const run = takeRun(place.rows, place.at, Math.min(last, place.last), bytesLeft);
      const wanted = run.length;
      if (entries.length > 0 && (run[0]?.dataBytes ?? 0) > bytesLeft) break;
      const { segmentFiles, metrics } = this.parts;
      const found = isNear
        ? await readNear(segmentFiles, metrics, place.segmentId, run, bytesMax)
        : await readRun(segmentFiles, metrics, place.segmentId, run);
      if (found === undefined) {
        if (this.#sealed.get(place.segmentId) !== undefined) {
          throw damaged(segmentFiles.path(place.segmentId), 0, 'this segment to exist, it is missing');
        }
        // Released while it was looked up: what was live in it stands elsewhere now.
        continue;
      }
      if (isNear) return found;
      for (const entry of found) {
        entries.push(entry);
        bytesLeft -= entry.data.length;
      }
      index += wanted;
    }
    if (entries.length === 0) throw missing(groupId, first);
    return entries;
  }

  /** Changes when all entries of the group become void; -1 for no group. */
  generation(groupId: number): number {
    return this.#groups.get(groupId)?.generation ?? -1;
  }

  /** The newest copy of an entry; every copy that is found is valid, superseded ones are not found. */
  async locate(groupId: number, index: number): Promise<EntryPlace | undefined> {
    const group = this.#groups.get(groupId);
    if (group === undefined || index > group.lastIndex) return undefined;
    const { active } = this.#writer;
    const activeRows = active.rows.get(groupId);
    const activeAt = activeRows?.find(index) ?? -1;
    if (activeRows !== undefined && activeAt >= 0) {
      return { segmentId: active.segmentId, rows: activeRows, at: activeAt, last: group.lastIndex };
    }
    for (const segment of this.#sealed.candidates(groupId, index)) {
      const rows = await this.#sealed.rows(segment, groupId);
      // What lives of it stands elsewhere since: in a segment that was looked through before, or was none yet.
      if (rows === undefined && segment.isReleased) return this.locate(groupId, index);
      const at = rows?.find(index) ?? -1;
      // Asked again: the tail may have been superseded while the rows were loaded.
      const end = rangeEnd(segment.index.get(groupId)?.ranges ?? [], index);
      if (rows !== undefined && at >= 0 && end >= index) {
        return { segmentId: segment.segmentId, rows, at, last: end };
      }
    }
    return undefined;
  }

  async segmentOf(groupId: number, index: number): Promise<number | undefined> {
    return (await this.locate(groupId, index))?.segmentId;
  }

  sealedSegments(): readonly SegmentSummary[] {
    return this.#sealed.summaries();
  }

  activeSegment(): SegmentSummary {
    const { segmentId, end, rows } = this.#writer.active;
    const groups = new Map<number, { first: number; last: number }>();
    for (const [groupId, columns] of rows) {
      if (columns.length === 0) continue;
      groups.set(groupId, { first: columns.indexAt(0), last: columns.indexAt(columns.length - 1) });
    }
    return { segmentId, bytes: end, groups };
  }

  async seal(): Promise<void> {
    await this.exclusive(async () => {
      if (this.#writer.active.frames > 0) await this.#writer.roll(this);
    });
    await this.#sidecars;
  }

  async rest(): Promise<void> {
    await this.parts.spares.giveUp();
    await this.exclusive(() => this.#writer.rest());
  }

  async release(segmentId: number, live: ReadonlyArray<{ groupId: number; index: number }>): Promise<void> {
    const segment = this.#sealed.get(segmentId);
    if (segment === undefined) return;
    await this.#sidecars;
    const release = this.#releases.then(() => releaseSegment(this, this.#writer, this.#sealed, segment, live));
    this.#releases = release.catch(() => {});
    await release;
    this.parts.diskGauge.set(this.diskBytes);
  }

  async verify(onProgress: (doneBytes: number, totalBytes: number) => void = () => {}): Promise<void> {
    const { files, segmentFiles } = this.parts;
    const total = this.#sealed.bytes;
    let done = 0;
    for (const { segmentId, bytes } of this.#sealed.facts()) {
      if (this.#sealed.get(segmentId) !== undefined) {
        const path = segmentFiles.path(segmentId);
        const progress = (at: number): void => onProgress(done + at, total);
        const scan = await this.#sealed
          .reading(segmentId, () => scanSegment(files, path, segmentId, { progress }))
          .catch((error: unknown) => {
            if (errorCode(error) !== 'ENOENT') throw error;
            // Given back while it was being opened: it is out of the list before its file goes.
            if (this.#sealed.get(segmentId) === undefined) return undefined;
            throw damaged(path, 0, 'this segment to exist, it is missing', error);
          });
        if (scan !== undefined) checkWhole(path, bytes, scan.end, scan.stop);
      }
      done += bytes;
    }
    onProgress(total, total);
  }

  /** For a new segment's base frame. */
  base(): BaseState {
    return {
      groups: [...this.#groups.values()].map((group) => group.scalars()),
      sealed: [...this.#sealed.facts(), { ...factsOf(this.#writer.active), cuts: new Map() }],
      leftovers: this.parts.leftovers,
    };
  }

  /** The writer went on to a new segment. */
  sealed(old: ActiveSegment): void {
    const segment = this.#sealed.addFresh({ ...factsOf(old), cuts: new Map() }, old.seed, old.rows);
    // A log that was voided and whose mark is still to be written: a scan of this segment would not see it.
    for (const { groupId, pendingMark } of this.#groups.values()) {
      if (pendingMark?.resets) segment.cuts.set(groupId, 0);
    }
    this.#sidecars = this.#sidecars.then(() => this.#sealed.persist(segment));
  }

  /** Runs one writing step after the ones before it. */
  exclusive<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(step);
    this.#tail = result.catch(() => {});
    return result;
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await this.exclusive(() => this.#writer.close());
      await this.#releases;
      await this.#sidecars;
      await this.parts.segmentFiles.close();
      await this.parts.lock.release();
    })();
    return this.#closed;
  }
}

function factsOf({ segmentId, end }: ActiveSegment) {
  return { segmentId, bytes: end };
}
