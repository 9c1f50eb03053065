import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Gauge, Metrics } from '@sluice/common/metrics';
import { type BackupRequest, type BackupResponse, PIECE_BYTES_MAX } from '@sluice/rpc/contract/backup';
import type { KeyValue } from '@sluice/storage/engine';
import type { RaftHost } from '../raft-host.ts';
import type { SnapshotHost } from '../snapshot/snapshot-port.ts';
import { withinMs } from '../within-ms.ts';
import { exportGroup } from './group-export.ts';

/**
 * Gives the groups that are led here to who makes a backup, one at a time. The leader, not a follower that has less to
 * do: after a read barrier it has everything that was acknowledged before the question, and who leads is known anyway.
 *
 * | a reading  | goes on while                                  | ends with                                      |
 * |------------|------------------------------------------------|------------------------------------------------|
 * | open       | pieces are asked for, each within `IDLE_MS`    | the last piece, `close`, silence, a short disk |
 *
 * What was begun here is finished here: leadership may move meanwhile, the image stays what it is.
 */
export class ExportService {
  readonly #options: ExportOptions;
  readonly #bytes: Counter;
  readonly #running: Gauge;
  readonly #outcomes: Readonly<Record<Outcome, Counter>>;
  #reading: Reading | undefined;
  readonly #pieceBytes: number;
  #number = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Without a question, a reading is over: its caller is gone, and keeps this node from giving space back. */
  static readonly IDLE_MS = 60_000;
  static readonly TICK_MS = 1_000;
  /** A question is answered within this time, by an empty piece while an image is written. Below the calls' timeout. */
  static readonly ANSWER_MS = 4_000;

  constructor(options: ExportOptions) {
    this.#options = options;
    const { metrics, pieceBytes } = options;
    this.#pieceBytes = pieceBytes ?? PIECE_BYTES_MAX;
    this.#bytes = metrics.counter('sluice_backup_read_bytes_total', 'Bytes of groups given to backups');
    this.#running = metrics.gauge('sluice_backup_running', '1 while a backup reads a group from this node');
    const outcome = (name: Outcome): Counter =>
      metrics.counter('sluice_backup_groups_total', 'Groups that backups read from this node, by outcome', {
        outcome: name,
      });
    this.#outcomes = { done: outcome('done'), failed: outcome('failed') };
  }

  async answer(request: BackupRequest): Promise<BackupResponse> {
    if (request.type === 'open') return this.#open(request.group);
    const reading = this.#reading;
    if (reading === undefined || reading.number !== request.reading) {
      return refusal('unavailable', 'this reading is over: nobody asked for a while, or the disk was short of space');
    }
    if (request.type === 'close') {
      this.#end(reading, 'failed', 'closed by who asked');
      return { type: 'closed' };
    }
    if (reading.isAnswering) return refusal('busy', 'a piece of this reading is asked for already');
    return this.#read(reading);
  }

  /** Ends what is open. */
  close(): void {
    this.#closed = true;
    if (this.#reading !== undefined) this.#end(this.#reading, 'failed', STOPS);
  }

  async #open(group: number): Promise<BackupResponse> {
    const { host, snapshots, entryOf, logger, clock } = this.#options;
    if (this.#reading !== undefined) return refusal('busy', BUSY);
    if (!(await host.readBarrier(group))) {
      return { ...refusal('not-leader', `group ${group} is not led here`), leader: host.leaderOf(group) };
    }
    if (this.#options.isShortOfSpace()) return refusal('unavailable', SHORT);
    if (this.#closed) return refusal('unavailable', STOPS);
    // Another one came while this one waited.
    if (this.#reading !== undefined) return refusal('busy', BUSY);
    const number = ++this.#number;
    this.#reading = {
      number,
      group,
      parts: exportGroup(snapshots, group, entryOf),
      next: undefined,
      rest: [],
      restBytes: 0,
      bytes: 0,
      startedMs: clock.monotonicMs(),
      askedMs: clock.monotonicMs(),
      isAnswering: false,
      isOver: false,
    };
    this.#running.set(1);
    this.#timer = setInterval(() => this.#look(), ExportService.TICK_MS);
    logger.info({ group }, 'a backup reads a group');
    return { type: 'opened', reading: number };
  }

  async #read(reading: Reading): Promise<BackupResponse> {
    reading.isAnswering = true;
    try {
      return await this.#piece(reading);
    } catch (cause) {
      const { message } = cause as Error;
      this.#end(reading, 'failed', message);
      if (!(cause instanceof SluiceError)) throw cause;
      return refusal('unavailable', message);
    } finally {
      reading.isAnswering = false;
      reading.askedMs = this.#options.clock.monotonicMs();
    }
  }

  async #piece(reading: Reading): Promise<BackupResponse> {
    while (!reading.isOver && reading.restBytes < this.#pieceBytes) {
      reading.next ??= reading.parts.next();
      const next = await withinMs(reading.next, ExportService.ANSWER_MS);
      if (next === undefined) break;
      reading.next = undefined;
      if (next.done) reading.isOver = true;
      else {
        for (const bytes of next.value) {
          reading.rest.push(bytes);
          reading.restBytes += bytes.length;
        }
      }
    }
    if (this.#reading !== reading) return refusal('unavailable', 'this reading was ended meanwhile');
    const all = reading.rest.length === 1 ? (reading.rest[0] as Uint8Array) : Buffer.concat(reading.rest);
    const bytes = all.subarray(0, this.#pieceBytes);
    const rest = all.subarray(bytes.length);
    reading.rest = rest.length === 0 ? [] : [rest];
    reading.restBytes = rest.length;
    reading.bytes += bytes.length;
    this.#bytes.add(bytes.length);
    const isLast = reading.isOver && rest.length === 0;
    if (isLast) this.#end(reading, 'done', '');
    return { type: 'piece', isLast, bytes };
  }

  #look(): void {
    const { clock, isShortOfSpace } = this.#options;
    const reading = this.#reading;
    if (reading === undefined) return;
    if (isShortOfSpace()) this.#end(reading, 'failed', SHORT);
    else if (!reading.isAnswering && clock.monotonicMs() - reading.askedMs > ExportService.IDLE_MS) {
      this.#end(reading, 'failed', 'nobody asked for the next piece');
    }
  }

  #end(reading: Reading, outcome: Outcome, reason: string): void {
    if (this.#reading !== reading) return;
    this.#reading = undefined;
    clearInterval(this.#timer);
    this.#running.set(0);
    this.#outcomes[outcome].add();
    const { logger, clock } = this.#options;
    const { group, bytes, startedMs } = reading;
    const fields = { group, bytes, ms: Math.round(clock.monotonicMs() - startedMs) };
    if (outcome === 'done') logger.info(fields, 'a backup has read a group');
    else logger.warn({ ...fields, reason }, 'a backup did not read a group to its end');
    // Runs its `finally`, after the step that may be under way: images and segments are free again.
    void reading.parts.return(undefined).catch(() => {});
  }
}

type Outcome = 'done' | 'failed';

const STOPS = 'this node stops';
const BUSY = 'another backup reads from this node: one at a time';
const SHORT = 'the disk is short of space, and a backup keeps it from being given back: free some first';

interface Reading {
  readonly number: number;
  readonly group: number;
  readonly parts: AsyncGenerator<Uint8Array[]>;
  /** Asked for, and not there yet. */
  next: Promise<IteratorResult<Uint8Array[]>> | undefined;
  rest: Uint8Array[];
  restBytes: number;
  bytes: number;
  readonly startedMs: number;
  askedMs: number;
  isAnswering: boolean;
  isOver: boolean;
}

export interface ExportOptions {
  host: Pick<RaftHost, 'readBarrier' | 'leaderOf'>;
  snapshots: Pick<SnapshotHost, 'storage' | 'imageKeeper' | 'replica'>;
  /** The index of the entry that a row keeps alive; undefined of other rows. */
  entryOf: (row: KeyValue) => number | undefined;
  isShortOfSpace: () => boolean;
  /** How long a piece may be; undefined: as long as the contract allows. */
  pieceBytes?: number | undefined;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}

function refusal(
  code: Extract<BackupResponse, { type: 'refused' }>['code'],
  message: string,
): Extract<BackupResponse, { type: 'refused' }> {
  return { type: 'refused', code, message, leader: 0 };
}
