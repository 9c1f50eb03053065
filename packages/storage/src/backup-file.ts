import { createHash } from 'node:crypto';
import { type BackupHead, type BackupPart, damagedBackup } from './backup-format.ts';

/** What a backup says of one of its files: of which group it is, as of when, and by what it is known to be whole. */
export interface BackupFile {
  name: string;
  /** 0: the metadata. */
  group: number;
  /** As of which entry of the group's log. */
  index: number;
  term: number;
  bytes: number;
  sha256: string;
  rows: number;
  entries: number;
}

export function fileNameOf(group: number): string {
  return group === 0 ? 'metadata.group' : `partition-${group}.group`;
}

/** What is said of a file, gathered while its bytes pass. */
export class GroupCounter {
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #head: BackupHead = { groupId: 0, index: 0, term: 0 };
  #rows = 0;
  #entries = 0;

  get bytes(): number {
    return this.#bytes;
  }

  async *through(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.#hash.update(chunk);
      this.#bytes += chunk.length;
      yield chunk;
    }
  }

  count(part: BackupPart): void {
    if (part.type === 'head') this.#head = part.head;
    else if (part.type === 'rows') this.#rows += part.rows.length;
    else this.#entries += part.entries.length;
  }

  /** To be asked once. @throws SluiceError `BACKUP_DAMAGED` when it is of another group */
  file(group: number): BackupFile {
    const { groupId, index, term } = this.#head;
    const name = fileNameOf(group);
    if (groupId !== group) throw damagedBackup(name, 0, `group ${group}, not ${groupId}`);
    const sha256 = this.#hash.digest('hex');
    return { name, group, index, term, bytes: this.#bytes, sha256, rows: this.#rows, entries: this.#entries };
  }
}
