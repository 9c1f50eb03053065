import { PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { groupKey, machineKey } from '@sluice/multiraft/disk/keyspace';
import type { NodeStorage } from '@sluice/multiraft/disk/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot/snapshot-exchange';
import { type MachineOptions, SimMachine } from '../sim-machine.ts';
import type { Life } from '../sim-world.ts';
import { entryKey, indexOfEntryKey } from './ledger-machine.ts';

/** A process that is a Raft host and nothing else. */
export class RaftNode extends SimMachine {
  readonly #addGroups: (node: RaftNode, host: RaftHost) => Promise<void>;

  constructor(options: MachineOptions & { addGroups(node: RaftNode, host: RaftHost): Promise<void> }) {
    super(options);
    this.#addGroups = options.addGroups;
  }

  protected async boot(life: Life): Promise<void> {
    const { world, nodeId, clock } = this;
    const metrics = new PlainMetrics();
    const logger = this.logger();
    const storage = await this.openStorage(life, logger, metrics);
    const simHost = this.network.join(nodeId, life);
    const host = new RaftHost(storage, {
      nodeId,
      clock,
      logger,
      metrics,
      prng: new SeededPrng(world.prng.next()),
      transport: simHost,
      snapshots: (raftHost) => new SnapshotExchange(raftHost, async () => this.disk.freeBytes),
      liveEntries: (groupId, first, last, limit) => liveEntries(storage, groupId, first, last, limit),
    });
    this.storage = storage;
    this.host = host;
    this.superviseHost(life, host);
    await this.#addGroups(this, host);
    host.serve(simHost);
    host.start();
  }
}

async function liveEntries(
  storage: NodeStorage,
  groupId: number,
  first: number,
  last: number,
  limit: number,
): Promise<{ index: number; bytes: number }[]> {
  const from = groupKey(groupId, entryKey(first));
  const rows = await storage.engine.scan(from, groupKey(groupId, entryKey(last + 1)), limit);
  return rows.map(({ key }) => ({ index: indexOfEntryKey(machineKey(key)), bytes: 100 }));
}
