import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { type FileOperations, isFullDisk, isOutOfFiles } from '../files/file-operations.ts';
import { FrameBuilder } from './frame/frame-builder.ts';
import { FRAME_BYTES_MAX } from './frame/frame-format.ts';
import type { BaseState } from './group/base-state.ts';
import { fenced, full, outOfFiles } from './log-errors.ts';
import type { LogMetrics } from './log-metrics.ts';
import {
  type ActiveSegment,
  createSegment,
  type MakeSalt,
  NameUnsynced,
  ShortWrite,
} from './segment/active-segment.ts';
import { Runway } from './segment/runway.ts';
import type { SegmentFiles } from './segment/segment-files.ts';
import type { SpareSegments } from './segment/spare-segments.ts';

export interface WriterSettings {
  files: FileOperations;
  directory: string;
  segmentBytes: number;
  sync: boolean;
  salt: MakeSalt;
  logger: Logger;
  clock: Clock;
  metrics: LogMetrics;
}

/** What the writer asks back when a segment is full. */
export interface SegmentSealer {
  base(): BaseState;
  sealed(segment: ActiveSegment): void;
}

/**
 * Puts frames on the disk, one at a time, each by one synced write. It alone knows what an error of it means. A full
 * disk leaves the file as it was. Anything else fences the log for ever, because after a failed write-back the system
 * may hold pages it calls clean that never reached the disk, and a second sync would succeed and prove nothing.
 *
 * A write and a sync of their own would be two trips to another thread, with a wake-up at each end of both.
 */
export class LogWriter {
  readonly builder = new FrameBuilder();
  active: ActiveSegment;
  sequence: number;
  readonly #settings: WriterSettings;
  readonly #segmentFiles: SegmentFiles;
  readonly #runway: Runway;
  readonly #spares: SpareSegments;
  /** The next one, whose name could not be synced: the active one is not written on, and it comes first. */
  #unsynced: ActiveSegment | undefined = undefined;
  /** The last segment that went on beyond its size for want of a descriptor: said once of each. */
  #longId = 0;
  #fence: SluiceError | undefined = undefined;

  constructor(
    settings: WriterSettings,
    segmentFiles: SegmentFiles,
    spares: SpareSegments,
    active: ActiveSegment,
    sequence: number,
  ) {
    this.#settings = settings;
    this.#segmentFiles = segmentFiles;
    this.#spares = spares;
    this.#runway = new Runway(settings.files, settings.segmentBytes);
    this.active = active;
    this.sequence = sequence;
    segmentFiles.pin(active.segmentId, active.fd);
  }

  /** @throws the error that ended the writing */
  assertWritable(): void {
    if (this.#fence !== undefined) throw this.#fence;
  }

  /**
   * Writes what the builder holds, rolling to a new segment when it does not fit. Resolves, when it is durable, to the
   * position of the first payload byte; `active` is then the segment that holds it.
   */
  async writeFrame(sealer: SegmentSealer): Promise<number> {
    this.assertWritable();
    const { builder } = this;
    const { frameBytes } = builder;
    const isOver = this.active.frames > 0 && this.active.end + frameBytes > this.#settings.segmentBytes;
    if (isOver || this.#unsynced !== undefined) await this.#rollIfItCan(sealer);
    const { active } = this;
    const { files, metrics, clock, sync } = this.#settings;
    const buffers = builder.finish(this.sequence + 1, active.seed);
    const startMs = clock.monotonicMs();
    try {
      if (sync && this.#runway.isWanted(active, frameBytes)) await this.#runway.lay(active);
      const written = await files.writev(active.fd, buffers, active.end);
      if (written !== frameBytes) throw new ShortWrite(written, frameBytes);
    } catch (error) {
      if (!isFullDisk(error)) throw this.#endSyncing(error);
      await this.#cutBack(active);
      // For the next try.
      await this.#spares.giveUp();
      throw full(this.#settings.directory, error);
    }
    if (sync) metrics.syncSeconds.observe((clock.monotonicMs() - startMs) / 1000);
    const payloadsAt = active.end + builder.payloadStart;
    active.end += frameBytes;
    active.frames++;
    this.sequence++;
    metrics.writtenBytes.add(frameBytes);
    metrics.diskBytes.add(frameBytes);
    return payloadsAt;
  }

  /**
   * Without a descriptor for the next segment the present one goes on beyond its size: what connections take must not stop
   * the log. Not for ever, since positions in it are bounded; and not once the next one has its name.
   */
  async #rollIfItCan(sealer: SegmentSealer): Promise<void> {
    try {
      await this.roll(sealer);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'FILES_EXHAUSTED') throw error;
      if (this.#unsynced !== undefined || this.active.end >= FRAME_BYTES_MAX) throw error;
      if (this.#longId === this.active.segmentId) return;
      this.#longId = this.active.segmentId;
      this.#settings.logger.error({ err: error }, 'a segment of the entry log goes on beyond its size');
    }
  }

  /** Every frame of the old segment is durable by now; the new one is before its first frame counts. */
  async roll(sealer: SegmentSealer): Promise<void> {
    this.assertWritable();
    const { directory, metrics, logger } = this.#settings;
    const old = this.active;
    let next: ActiveSegment;
    // The next segment will say where this one ends.
    if (this.#runway.isLaid) await this.#cutBack(old);
    try {
      next = this.#unsynced === undefined ? await this.#create(sealer) : await this.#named(this.#unsynced);
    } catch (error) {
      if (isOutOfFiles(error)) {
        metrics.outOfFiles.add();
        throw outOfFiles(this.#segmentFiles.path(old.segmentId + 1), error);
      }
      if (!isFullDisk(error)) throw this.#endWriting(error);
      await this.#spares.giveUp();
      throw full(directory, error);
    }
    this.sequence++;
    this.#segmentFiles.pin(next.segmentId, next.fd);
    // Together: in between, a reader would find the old segment's entries nowhere.
    this.active = next;
    this.#runway.restart(next);
    sealer.sealed(old);
    await this.#segmentFiles.unpin(old.segmentId);
    metrics.writtenBytes.add(next.end);
    metrics.diskBytes.add(next.end);
    logger.debug({ segmentId: next.segmentId, sealedBytes: old.end }, 'started an entry log segment');
  }

  async #create(sealer: SegmentSealer): Promise<ActiveSegment> {
    const { files, directory, sync, salt } = this.#settings;
    const { segmentId } = this.active;
    const spare = this.#spares.take();
    try {
      return await createSegment(files, directory, segmentId + 1, this.sequence + 1, sealer.base(), sync, salt, spare);
    } catch (error) {
      if (!(error instanceof NameUnsynced)) throw error;
      this.#unsynced = error.segment;
      throw error.cause;
    }
  }

  /** What it says of the others is still so: nothing was written meanwhile. */
  async #named(segment: ActiveSegment): Promise<ActiveSegment> {
    const { files, directory } = this.#settings;
    try {
      await files.syncDirectory(directory);
    } catch (error) {
      if (isOutOfFiles(error)) throw error;
      throw new Error(`could not name ${this.#segmentFiles.path(segment.segmentId)}: ${String(error)}`, {
        cause: error,
      });
    }
    this.#unsynced = undefined;
    return segment;
  }

  /** Gives back what a file that was written before has behind its frames. Zeros laid for small ones may stay: they are few. */
  async rest(): Promise<void> {
    this.assertWritable();
    if (this.#runway.ahead(this.active) > Runway.BYTES) await this.#cutBack(this.active);
  }

  /**
   * Whether the write or its sync found no room is not known. Either way what was durable before stands on the disk, and
   * pages of the frame that the system may call clean are dropped by the cut, but for the one it begins in: that is written anew.
   */
  async #cutBack(active: ActiveSegment): Promise<void> {
    const { files, sync } = this.#settings;
    try {
      await this.#runway.cut(active);
    } catch (error) {
      throw this.#endWriting(error);
    }
    if (!sync) return;
    try {
      // A cut that goes with the power would look like damage.
      await files.datasync(active.fd);
    } catch (error) {
      throw this.#endSyncing(error);
    }
  }

  #endSyncing(error: unknown): SluiceError {
    if (this.#settings.sync) this.#settings.metrics.syncErrors.add();
    return this.#endWriting(error);
  }

  #endWriting(error: unknown): SluiceError {
    this.#fence ??= fenced(error);
    this.#settings.logger.error(
      { err: error, file: this.#segmentFiles.path(this.active.segmentId) },
      this.#fence.message,
    );
    return this.#fence;
  }

  /** After this nothing is written any more. */
  async close(): Promise<void> {
    const isUsable = this.#fence === undefined;
    if (this.#unsynced !== undefined) await this.#settings.files.close(this.#unsynced.fd);
    this.#unsynced = undefined;
    this.#fence ??= new SluiceError('ENTRY_LOG_CLOSED', 'the entry log is closed');
    // For tidiness: the next start would find the end as well, and take longer.
    if (isUsable && this.#runway.isLaid) await this.#runway.cut(this.active).catch(() => {});
  }
}
