import type { HardState, SnapshotMeta } from '@sluice/raft/entry';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { Channel } from '@sluice/rpc/transport';
import { freeBytes } from '@sluice/storage/files/free-bytes';
import type { Replica } from '../replica/replica.ts';
import type { SnapshotHost, SnapshotMessage, SnapshotPort } from './snapshot-port.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { SnapshotRetention } from './snapshot-retention.ts';
import { SnapshotSender } from './snapshot-sender.ts';

/** Moves snapshots between nodes, in both directions; what the host's loops ask of it stands at `SnapshotPort`. */
export class SnapshotExchange implements SnapshotPort {
  readonly #retention: SnapshotRetention;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;

  /** `free` says how much may be written where the images are. */
  constructor(host: SnapshotHost, free: () => Promise<number> = () => freeBytes(host.storage.imageDirectory)) {
    this.#retention = new SnapshotRetention(host.storage.entryLog, host.nodeId);
    this.#sender = new SnapshotSender(host, this.#retention);
    this.#receiver = new SnapshotReceiver(host, free);
    host.imageKeeper.logFloor = (replica) => this.logFloor(replica);
  }

  send(replica: Replica, message: SnapshotMessage): void {
    this.#sender.send(replica, message);
  }

  accept(channel: Channel<SnapshotAnswer, SnapshotChunk>, from: number): void {
    this.#receiver.accept(channel, from);
  }

  install(replica: Replica, snapshot: SnapshotMeta, hardState: HardState | undefined): Promise<void> {
    return this.#receiver.install(replica, snapshot, hardState);
  }

  tick(): void {
    this.#retention.tick();
    this.#sender.tick();
    this.#receiver.tick();
  }

  logFloor(replica: Replica): number {
    return this.#retention.floor(replica);
  }

  async abandon(groupId: number | undefined): Promise<void> {
    await Promise.all([this.#sender.abandon(groupId), this.#receiver.abandon(groupId)]);
  }
}
