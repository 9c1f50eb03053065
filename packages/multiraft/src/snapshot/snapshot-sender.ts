import { SluiceError } from '@sluice/common/errors';
import type { Counter } from '@sluice/common/metrics';
import { decodeMembership } from '@sluice/raft/conf-change';
import type { Entry } from '@sluice/raft/entry';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { Channel } from '@sluice/rpc/transport';
import { type ImageFile, readImage } from '@sluice/storage/image-file';
import type { Replica } from '../replica/replica.ts';
import { entriesCrc, rowParts, rowsCrc } from './snapshot-chunk.ts';
import { liveParts } from './snapshot-live-entries.ts';
import type { SnapshotHost, SnapshotMessage } from './snapshot-port.ts';
import type { LogHold, SnapshotRetention } from './snapshot-retention.ts';

/**
 * The leader's half of a transfer: rows of an image, then the live entries below it, from disk to channel with a window
 * of chunks between, so that memory does not grow with the snapshot nor with a slow receiver.
 *
 * The image is the newest file that the log still continues: a transfer pins no iterator of the engine, and several
 * followers share one file. Entries may die while it runs, and their segments go; what is gone is asked for again, and is
 * either dead by now, then it is not needed (the log after the image says how it died), or its loss is an error.
 *
 * | a transfer     | goes on when                                        | fails when                              |
 * |----------------|-----------------------------------------------------|-----------------------------------------|
 * | waits          | fewer than `TRANSFERS_MAX` run                      | this node leads no more                 |
 * | runs           | the receiver is at most `WINDOW_CHUNKS` behind      | channel closed, refused, damage, silence |
 * | failed: rests  | its pause is over; then the core is told, and asks again |                                    |
 */
export class SnapshotSender {
  readonly #host: SnapshotHost;
  readonly #retention: SnapshotRetention;
  readonly #transfers = new Map<string, Transfer>();
  /** Images that did not read to their end: the next transfer of the group takes a new one. */
  readonly #distrusted = new Set<number>();
  readonly #sentBytes: Counter;
  readonly #done: Counter;
  readonly #failed: Counter;
  readonly #runs = new Map<Transfer, Promise<void>>();
  #closed = false;

  /** At a time, from this node. Each reads the disk and fills a link that appends share. */
  static readonly TRANSFERS_MAX = 2;
  /** Chunks under way, each at most a megabyte or one entry. */
  static readonly WINDOW_CHUNKS = 4;
  /** Accepted by the channel and still here. */
  static readonly UNSENT_BYTES_MAX = 4 * 1024 * 1024;
  /** Without a word from the receiver: half a minute. */
  static readonly SILENT_TICKS_MAX = 300;
  /** After a failure, before the core is told: doubles from half a second to ten. */
  static readonly PAUSE_TICKS_MIN = 5;
  static readonly PAUSE_TICKS_MAX = 100;

  constructor(host: SnapshotHost, retention: SnapshotRetention) {
    this.#host = host;
    this.#retention = retention;
    const { metrics } = host;
    this.#sentBytes = metrics.counter(
      'sluice_raft_snapshot_sent_bytes_total',
      'Bytes of rows and entries in snapshots sent',
    );
    const help = 'Snapshots that this node sent to other members, by outcome';
    this.#done = metrics.counter('sluice_raft_snapshots_sent_total', help, { outcome: 'done' });
    this.#failed = metrics.counter('sluice_raft_snapshots_sent_total', help, { outcome: 'failed' });
  }

  send(replica: Replica, message: SnapshotMessage): void {
    if (this.#closed) return;
    const key = `${replica.groupId}:${message.to}`;
    const known = this.#transfers.get(key);
    if (known !== undefined && known.replica === replica && known.message.term === message.term) {
      // Its failure was reported, and the core asks again.
      if (known.state !== 'reported') return;
    } else if (known !== undefined) this.#drop(known);
    const transfer: Transfer = {
      key,
      replica,
      message,
      state: 'waiting',
      failures: known?.failures ?? 0,
      pauseTicks: 0,
      silentTicks: 0,
      sent: 0,
      received: 0,
      channel: undefined,
      hold: undefined,
      ended: undefined,
      outcome: undefined,
      wake: () => {},
    };
    this.#transfers.set(key, transfer);
    this.#startNext();
  }

  tick(): void {
    for (const transfer of this.#transfers.values()) {
      if (!isWanted(transfer)) {
        this.#drop(transfer);
        continue;
      }
      if (
        transfer.state === 'running' &&
        transfer.channel !== undefined &&
        ++transfer.silentTicks > SnapshotSender.SILENT_TICKS_MAX
      ) {
        this.#end(transfer, 'the receiver said nothing for too long');
      }
      // The unsent bytes of a channel have no event.
      if (transfer.state === 'running') transfer.wake();
      if (transfer.hold?.ended === true && transfer.state === 'running') {
        this.#end(transfer, 'the log grew too far meanwhile');
      }
      if (transfer.state === 'resting' && --transfer.pauseTicks <= 0) this.#report(transfer, false);
    }
  }

  /** Resolves when nothing of them is read any more. */
  async abandon(groupId: number | undefined): Promise<void> {
    if (groupId === undefined) this.#closed = true;
    for (const transfer of [...this.#transfers.values()]) {
      if (groupId === undefined || transfer.replica.groupId === groupId) this.#drop(transfer);
    }
    const ending: Promise<void>[] = [];
    for (const [transfer, run] of this.#runs) {
      if (groupId === undefined || transfer.replica.groupId === groupId) ending.push(run);
    }
    await Promise.all(ending);
  }

  /** Transfers that run, for tests and `idle`. */
  get running(): number {
    return this.#runs.size;
  }

  #startNext(): void {
    for (const transfer of this.#transfers.values()) {
      if (this.#runs.size >= SnapshotSender.TRANSFERS_MAX) return;
      if (transfer.state !== 'waiting') continue;
      transfer.state = 'running';
      this.#runs.set(transfer, this.#run(transfer));
    }
  }

  async #run(transfer: Transfer): Promise<void> {
    const { replica, message } = transfer;
    const { groupId } = replica;
    const { logger, imageKeeper } = this.#host;
    const startedAt = { rows: 0, entries: 0, bytes: 0 };
    let image: ImageFile | undefined;
    let ok = false;
    try {
      image = await imageKeeper.pin(replica, this.#distrusted.delete(groupId), (index) => {
        transfer.hold = this.#retention.hold(replica, message.to, index);
      });
      if (image === undefined) throw new SluiceError('SNAPSHOT_ABORTED', 'the group has no image to send');
      await this.#stream(transfer, image, startedAt);
      ok = true;
      logger.info({ group: groupId, peer: message.to, index: image.header.index, ...startedAt }, 'snapshot sent');
    } catch (cause) {
      if (hasCode(cause, 'IMAGE_DAMAGED')) this.#distrusted.add(groupId);
      if (hasCode(cause, 'ENTRY_LOG_DAMAGED')) this.#host.leaveToOthers(replica, cause as Error);
      const fields = { err: cause, group: groupId, peer: message.to, ...startedAt };
      if (isWanted(transfer)) logger.warn(fields, 'a snapshot could not be sent; it is tried again');
    } finally {
      this.#runs.delete(transfer);
      if (image !== undefined) imageKeeper.unpin(image.path);
      transfer.channel?.close();
      this.#settle(transfer, ok);
      this.#startNext();
    }
  }

  #settle(transfer: Transfer, ok: boolean): void {
    (ok ? this.#done : this.#failed).add();
    const { hold } = transfer;
    if (hold !== undefined) {
      if (ok) this.#retention.releaseWhenPast(hold);
      else this.#retention.release(hold);
    }
    if (transfer.state !== 'running') return;
    if (ok) {
      this.#transfers.delete(transfer.key);
      this.#report(transfer, true);
      return;
    }
    transfer.state = 'resting';
    transfer.failures++;
    const { PAUSE_TICKS_MIN, PAUSE_TICKS_MAX } = SnapshotSender;
    transfer.pauseTicks = Math.min(PAUSE_TICKS_MAX, PAUSE_TICKS_MIN * 2 ** (transfer.failures - 1));
  }

  async #stream(
    transfer: Transfer,
    image: ImageFile,
    counted: { rows: number; entries: number; bytes: number },
  ): Promise<void> {
    const { replica, message } = transfer;
    const { index, term, meta, groupId } = image.header;
    const channel = this.#open(transfer);
    const { from, to, stint } = message;
    const snapshot = { index, term, membership: decodeMembership(meta) };
    const put = (chunk: SnapshotChunk): Promise<boolean> => this.#put(transfer, channel, chunk);
    if (!(await put({ type: 'begin', groupId, from, to, term: message.term, stint, snapshot }))) return;
    for await (const chunk of (await readImage(image.path, this.#host.storage.files)).chunks) {
      for (const rows of rowParts(chunk)) {
        if (!(await put({ type: 'rows', rows, crc: rowsCrc(rows) }))) return;
        counted.rows += rows.length;
        counted.bytes += this.#count(rows.reduce((sum, { key, value }) => sum + key.length + value.length, 0));
      }
    }
    for await (const entries of liveParts(this.#host, replica.groupId, index)) {
      if (!(await put({ type: 'entries', entries, crc: entriesCrc(entries) }))) return;
      counted.entries += entries.length;
      counted.bytes += this.#count(bytesOf(entries));
    }
    await put({ type: 'end', rows: counted.rows, entries: counted.entries });
    await this.#until(transfer, () => transfer.outcome !== undefined);
  }

  #count(bytes: number): number {
    this.#sentBytes.add(bytes);
    return bytes;
  }

  #open(transfer: Transfer): Channel<SnapshotChunk, SnapshotAnswer> {
    throwIfEnded(transfer);
    const channel = this.#host.transport.open<SnapshotChunk, SnapshotAnswer>(transfer.message.to, 'raft-snapshot');
    transfer.channel = channel;
    channel.onMessage((answer) => this.#handleAnswer(transfer, answer));
    channel.onClose(() => this.#end(transfer, 'the channel closed'));
    return channel;
  }

  #handleAnswer(transfer: Transfer, answer: SnapshotAnswer): void {
    transfer.silentTicks = 0;
    switch (answer.type) {
      case 'received':
        transfer.received = Math.max(transfer.received, answer.chunks);
        break;
      case 'done':
        transfer.outcome = 'done';
        break;
      case 'refused':
        this.#end(transfer, `refused: ${answer.reason}`);
        break;
    }
    transfer.wake();
  }

  /** Waits while the window is full. False: the receiver is at or beyond the snapshot, and needs nothing more. */
  async #put(
    transfer: Transfer,
    channel: Channel<SnapshotChunk, SnapshotAnswer>,
    chunk: SnapshotChunk,
  ): Promise<boolean> {
    const { WINDOW_CHUNKS, UNSENT_BYTES_MAX } = SnapshotSender;
    const mayGo = (): boolean =>
      transfer.outcome !== undefined ||
      (transfer.sent - transfer.received < WINDOW_CHUNKS && channel.unsentBytes < UNSENT_BYTES_MAX);
    await this.#until(transfer, mayGo);
    if (transfer.outcome !== undefined) return false;
    channel.send(chunk);
    transfer.sent++;
    return true;
  }

  async #until(transfer: Transfer, condition: () => boolean): Promise<void> {
    throwIfEnded(transfer);
    while (!condition()) {
      await new Promise<void>((resolve) => {
        transfer.wake = resolve;
      });
      throwIfEnded(transfer);
    }
  }

  #end(transfer: Transfer, reason: string): void {
    if (transfer.outcome !== undefined) return;
    transfer.ended ??= new SluiceError('SNAPSHOT_ABORTED', reason);
    transfer.wake();
  }

  /** The core has no use for it any more. */
  #drop(transfer: Transfer): void {
    if (this.#transfers.get(transfer.key) === transfer) this.#transfers.delete(transfer.key);
    transfer.ended ??= new SluiceError('SNAPSHOT_ABORTED', 'this node no longer leads the group');
    transfer.wake();
    this.#report(transfer, false);
  }

  #report(transfer: Transfer, ok: boolean): void {
    const { replica, message } = transfer;
    transfer.state = 'reported';
    if (replica.removed || replica.raft.term !== message.term) return;
    replica.raft.reportSnapshot(message.to, ok);
    this.#host.wake(replica);
  }
}

interface Transfer {
  readonly key: string;
  readonly replica: Replica;
  readonly message: SnapshotMessage;
  state: 'waiting' | 'running' | 'resting' | 'reported';
  /** In a row, to this peer in this term. */
  failures: number;
  pauseTicks: number;
  silentTicks: number;
  /** Chunks, `begin` and `end` counted. */
  sent: number;
  received: number;
  channel: Channel<SnapshotChunk, SnapshotAnswer> | undefined;
  hold: LogHold | undefined;
  ended: Error | undefined;
  outcome: 'done' | undefined;
  wake: () => void;
}

function isWanted({ replica, message }: Transfer): boolean {
  const { raft } = replica;
  if (replica.removed || replica.impaired !== undefined || replica.stopped !== undefined) return false;
  return raft.role === 'leader' && raft.term === message.term;
}

function throwIfEnded(transfer: Transfer): void {
  if (transfer.ended !== undefined) throw transfer.ended;
}

function hasCode(cause: unknown, code: string): boolean {
  return cause instanceof SluiceError && cause.code === code;
}

function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const { data } of entries) bytes += data.length;
  return bytes;
}
