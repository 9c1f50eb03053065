import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import { ExportService } from '@sluice/multiraft/backup/export-service';
import type { NodeStorage } from '@sluice/multiraft/disk/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot/snapshot-exchange';
import type { SnapshotHost } from '@sluice/multiraft/snapshot/snapshot-port';
import { liveEntryOf } from '@sluice/queue/machine/row/row-keys';
import type { BackupRequest, BackupResponse } from '@sluice/rpc/contract/backup';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import type { Store } from '@sluice/store/store';

export interface RaftRole {
  readonly host: RaftHost;
  /** What backups read of the groups. */
  readonly exports: ExportService;
}

/** The groups of this node, stores and coordinators alike, and what other nodes ask of them. */
export function openRaft(parts: {
  nodeId: number;
  storage: NodeStorage;
  /** Undefined until it is opened, and on a node without that role. */
  store: () => Store | undefined;
  prng: Prng;
  transport: Transport & ServiceRegistry;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}): RaftRole {
  const { storage, store, transport, ...rest } = parts;
  let snapshots = undefined as SnapshotHost | undefined;
  const host = new RaftHost(storage, {
    ...rest,
    transport,
    snapshots: (snapshotHost) => {
      snapshots = snapshotHost;
      return new SnapshotExchange(snapshotHost);
    },
    liveEntries: (groupId, first, last, limit) =>
      store()?.liveEntries(groupId, first, last, limit) ?? Promise.resolve([]),
  });
  host.serve(transport);
  const exports = new ExportService({
    ...rest,
    host,
    snapshots: snapshots as SnapshotHost,
    entryOf: ({ key }) => liveEntryOf(key),
    isShortOfSpace: () => store()?.isShortOfSpace ?? host.diskFull,
  });
  transport.serveCall<BackupRequest, BackupResponse>('backup', (request) => exports.answer(request));
  return { host, exports };
}
