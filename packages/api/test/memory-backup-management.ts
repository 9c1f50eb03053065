import { SluiceError } from '@sluice/common/errors';
import type { BackupManagement } from '@sluice/rpc/contract/backup-management';
import { refuse } from '@sluice/rpc/contract/queue-management';

/** Two partitions; the second is in other hands. */
export class MemoryBackupManagement implements BackupManagement {
  asked: number[] = [];
  breaks = false;
  closed = 0;

  describe() {
    return { ok: true, value: { clusterId: 'c-1', partitionCount: 2 } } as const;
  }

  async read(group: number) {
    this.asked.push(group);
    if (group > 2) return refuse('NOT_FOUND', `There is no partition ${group}`);
    if (group === 2) return refuse('UNAVAILABLE', 'Group 2 is not given: another backup reads from this node');
    return { ok: true, value: this.#pieces(group) } as const;
  }

  async *#pieces(group: number): AsyncGenerator<Uint8Array> {
    try {
      yield Buffer.from(`group ${group}, `);
      if (this.breaks) throw new SluiceError('BACKUP_BROKEN', 'its node is gone');
      yield Buffer.from('all of it');
    } finally {
      this.closed++;
    }
  }
}
