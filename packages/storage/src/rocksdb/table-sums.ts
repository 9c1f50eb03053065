import { open, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checksum } from '../checksum.ts';
import { errorCode } from '../files/file-operations.ts';

const FILE = 'SUMS';
const TABLE = /^\d+\.sst$/;
const CHUNK_BYTES = 1024 * 1024;

/**
 * Checksums of whole table files, kept beside them and compared at the open. RocksDB checks the blocks it reads for a
 * lookup, but not those of an iterator: there it takes a damaged block for good and, in this build, ends the process
 * with an assertion, at every start again.
 *
 * Tables never change once they are written. One is noted when it looks the same as at the look before, so that none is
 * noted half written. The file is a cache: damaged or gone, the tables count as unknown and are noted anew.
 */
export class TableSums {
  readonly #directory: string;
  #known = new Map<string, Sum>();
  /** Size and time of change of tables that are not noted yet. */
  #seen = new Map<string, string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Compares all tables that were noted; the name of one with other bytes, or undefined. */
  async damagedTable(): Promise<string | undefined> {
    this.#known = await this.#load();
    for (const name of await this.#tables()) {
      const expected = this.#known.get(name);
      if (expected === undefined) continue;
      const found = await this.#sum(name);
      if (found.bytes !== expected.bytes || found.crc !== expected.crc) return name;
    }
    return undefined;
  }

  /** Notes what is new. `isFinal`: nobody writes any more, so there is no need to look twice. */
  async note(isFinal: boolean): Promise<void> {
    const known = new Map<string, Sum>();
    const seen = new Map<string, string>();
    let isChanged = false;
    for (const name of await this.#tables()) {
      const before = this.#known.get(name);
      if (before !== undefined) {
        known.set(name, before);
        continue;
      }
      const { size, mtimeMs } = await stat(join(this.#directory, name));
      const look = `${size} ${mtimeMs}`;
      seen.set(name, look);
      if (!isFinal && this.#seen.get(name) !== look) continue;
      known.set(name, await this.#sum(name));
      isChanged = true;
    }
    isChanged ||= known.size !== this.#known.size;
    this.#known = known;
    this.#seen = seen;
    if (isChanged) await this.#save();
  }

  async #tables(): Promise<string[]> {
    const names = await readdir(this.#directory).catch((cause) => {
      if (errorCode(cause) === 'ENOENT') return [];
      throw cause;
    });
    return names.filter((name) => TABLE.test(name));
  }

  async #sum(name: string): Promise<Sum> {
    const file = await open(join(this.#directory, name), 'r');
    try {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      let crc = 0;
      for (let bytes = 0; ; ) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, bytes);
        if (bytesRead === 0) return { bytes, crc };
        crc = checksum(chunk.subarray(0, bytesRead), crc);
        bytes += bytesRead;
      }
    } finally {
      await file.close();
    }
  }

  async #save(): Promise<void> {
    const text = JSON.stringify(Object.fromEntries(this.#known));
    const path = join(this.#directory, FILE);
    await writeFile(`${path}.tmp`, `${checksum(Buffer.from(text))}\n${text}`);
    await rename(`${path}.tmp`, path);
  }

  async #load(): Promise<Map<string, Sum>> {
    const written = await readFile(join(this.#directory, FILE), 'utf8').catch(() => '');
    const end = written.indexOf('\n');
    const text = written.slice(end + 1);
    if (end < 0 || Number(written.slice(0, end)) !== checksum(Buffer.from(text))) return new Map();
    return new Map(Object.entries(JSON.parse(text) as Record<string, Sum>));
  }
}

interface Sum {
  bytes: number;
  crc: number;
}
