import { SluiceError } from '@sluice/common/errors';
import { META_GROUP_ID } from '@sluice/meta/meta-group';
import type { Topology } from '@sluice/meta/topology';
import type { BackupRequest, BackupResponse } from '@sluice/rpc/contract/backup';
import type { BackupDescription, BackupManagement } from '@sluice/rpc/contract/backup-management';
import { type Outcome, refuse } from '@sluice/rpc/contract/queue-management';
import type { Transport } from '@sluice/rpc/transport';
import { refuseUnlessReady } from './metadata-change.ts';

/** Finds who leads a group and reads it from there, piece by piece, as fast as its reader takes them. */
export class BackupAdministration implements BackupManagement {
  readonly #topology: Topology;
  readonly #transport: Pick<Transport, 'call'>;
  readonly #leading: () => number;

  /** `leading`: the node id of the coordinator that this node follows, 0 while it follows none. */
  constructor(options: { topology: Topology; transport: Pick<Transport, 'call'>; leading: () => number }) {
    this.#topology = options.topology;
    this.#transport = options.transport;
    this.#leading = options.leading;
  }

  describe(): Outcome<BackupDescription> {
    const { clusterId, partitionCount } = this.#topology;
    return refuseUnlessReady(this.#topology) ?? { ok: true, value: { clusterId, partitionCount } };
  }

  async read(group: number): Promise<Outcome<AsyncIterable<Uint8Array>>> {
    const notReady = refuseUnlessReady(this.#topology);
    if (notReady !== undefined) return notReady;
    if (group > this.#topology.partitionCount) {
      return refuse('NOT_FOUND', `There is no partition ${group}`, 'GET /api/v5/backup says how many there are');
    }
    const asked = new Set<number>();
    let hint = group === META_GROUP_ID ? this.#leading() : this.#topology.leaderOf(group);
    let refused = 'no node answered';
    for (;;) {
      const nodeId = this.#next(group, hint, asked);
      if (nodeId === undefined) break;
      asked.add(nodeId);
      hint = 0;
      const response = await this.#ask(nodeId, { type: 'open', group });
      if (response?.type === 'opened') return { ok: true, value: this.#pieces(nodeId, group, response.reading) };
      if (response?.type !== 'refused') continue;
      refused = response.message;
      if (response.code !== 'not-leader') {
        return refuse('UNAVAILABLE', `Group ${group} is not given: ${refused}`, 'try again when that is over');
      }
      hint = response.leader;
    }
    return refuse(
      'UNAVAILABLE',
      `Nobody gives group ${group}: ${refused}`,
      'sluice cluster status says who is missing',
    );
  }

  /** The hint, else who has the group and lives; nobody twice. */
  #next(group: number, hint: number, asked: ReadonlySet<number>): number | undefined {
    if (hint !== 0 && !asked.has(hint)) return hint;
    const holders =
      group === META_GROUP_ID
        ? this.#topology.coordinators().map(({ nodeId }) => nodeId)
        : this.#topology.replicasOf(group);
    return holders.find((nodeId) => !asked.has(nodeId) && this.#topology.isAlive(nodeId));
  }

  async *#pieces(nodeId: number, group: number, reading: number): AsyncGenerator<Uint8Array> {
    let isOver = false;
    try {
      while (!isOver) {
        const response = await this.#ask(nodeId, { type: 'read', reading });
        if (response?.type !== 'piece') {
          const reason = response?.type === 'refused' ? response.message : 'its node does not answer any more';
          throw new SluiceError('BACKUP_BROKEN', `group ${group} was not read to its end: ${reason}`);
        }
        isOver = response.isLast;
        if (response.bytes.length > 0) yield response.bytes;
      }
    } finally {
      // Not wanted any more: its node need not wait until nobody asks.
      if (!isOver) void this.#ask(nodeId, { type: 'close', reading });
    }
  }

  /** Undefined: nobody there. */
  async #ask(nodeId: number, request: BackupRequest): Promise<BackupResponse | undefined> {
    try {
      return await this.#transport.call<BackupRequest, BackupResponse>(nodeId, 'backup', request);
    } catch (cause) {
      if (cause instanceof SluiceError) return undefined;
      throw cause;
    }
  }
}
