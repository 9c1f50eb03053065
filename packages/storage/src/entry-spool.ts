import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { Entry, EntryKind } from '@sluice/raft/entry';
import { checksum } from './checksum.ts';
import type { FileOperations } from './files/file-operations.ts';

/**
 * Entries in a file, on their way from one log into another: blocks of kind (1), body bytes (4), CRC (4), body. Each CRC
 * continues the one before it and the last block counts the entries, so a block that is missing, repeated, out of order
 * or cut off is found like a damaged one. Unlike an image it has its name from the start; whoever made it says, in a
 * place of their own, when it counts.
 */
const MAGIC = Buffer.from('SLUICES1', 'latin1');
const PREFIX_BYTES = 9;
const BlockKind = { ENTRIES: 1, FOOTER: 2 } as const;
/** Term (8), index (8), kind (1), data bytes (4). */
const HEAD_BYTES = 21;
const COPY_BELOW_BYTES = 2048;
/** A block is read whole; a length beyond this is damage. */
const BLOCK_BYTES_MAX = 256 * 1024 * 1024;

export class EntrySpool {
  readonly #files: FileOperations;
  readonly #fd: number;
  #crc = 0;
  #position = 0;
  #entries = 0;
  #open = true;

  private constructor(files: FileOperations, fd: number) {
    this.#files = files;
    this.#fd = fd;
  }

  static async create(path: string, files: FileOperations): Promise<EntrySpool> {
    const spool = new EntrySpool(files, await files.open(path, 'replace'));
    try {
      await spool.#write([MAGIC]);
    } catch (cause) {
      await spool.close();
      throw cause;
    }
    return spool;
  }

  /** Entries that go together are one block, held in memory as a whole when it is read. */
  async add(entries: readonly Entry[]): Promise<void> {
    let bodyBytes = 0;
    let ownBytes = 0;
    for (const { data } of entries) {
      bodyBytes += HEAD_BYTES + data.length;
      ownBytes += HEAD_BYTES + (data.length < COPY_BELOW_BYTES ? data.length : 0);
    }
    // Heads and small payloads in one buffer: crossing into the system, and into the checksum, costs more than a copy.
    const own = Buffer.allocUnsafe(ownBytes);
    const buffers: Uint8Array[] = [new Uint8Array(0)];
    let from = 0;
    let to = 0;
    for (const { term, index, kind, data } of entries) {
      to = writeHead(own, to, term, index, kind, data.length);
      if (data.length < COPY_BELOW_BYTES) {
        own.set(data, to);
        to += data.length;
        continue;
      }
      buffers.push(own.subarray(from, to), data);
      from = to;
    }
    if (to > from) buffers.push(own.subarray(from, to));
    await this.#block(BlockKind.ENTRIES, buffers, bodyBytes);
    this.#entries += entries.length;
  }

  /** Now and then, so that the last sync of many bytes does not hold up those of others. */
  sync(): Promise<void> {
    return this.#files.datasync(this.#fd);
  }

  /** Resolves when all of it is durable but the name, for which the directory must be synced. */
  async finish(): Promise<void> {
    const body = new ByteWriter(16).u53(this.#entries).finish();
    await this.#block(BlockKind.FOOTER, [new Uint8Array(0), body], body.length);
    await this.#files.datasync(this.#fd);
    await this.close();
  }

  /** Without `finish`, what was written is no spool. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#files.close(this.#fd);
  }

  /** The first buffer makes room for the prefix. */
  async #block(kind: number, buffers: Uint8Array[], bodyBytes: number): Promise<void> {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt8(kind, 0);
    prefix.writeUInt32BE(bodyBytes, 1);
    this.#crc = checksum(prefix.subarray(0, 5), this.#crc);
    for (const buffer of buffers) this.#crc = checksum(buffer, this.#crc);
    prefix.writeUInt32BE(this.#crc, 5);
    buffers[0] = prefix;
    await this.#write(buffers);
  }

  get bytes(): number {
    return this.#position;
  }

  async #write(buffers: readonly Uint8Array[]): Promise<void> {
    let wanted = 0;
    for (const buffer of buffers) wanted += buffer.length;
    const written = await this.#files.writev(this.#fd, buffers, this.#position);
    if (written !== wanted) throw Object.assign(new Error(`wrote ${written} of ${wanted} bytes`), { code: 'ENOSPC' });
    this.#position += written;
  }
}

/**
 * Block by block, each verified before it is given out; that all came is known only when the iteration ends.
 *
 * @throws SluiceError `SPOOL_DAMAGED` naming file and offset
 */
export async function* readSpool(path: string, files: FileOperations): AsyncGenerator<Entry[]> {
  const fd = await files.open(path, 'read');
  try {
    const sizeBytes = await files.sizeBytes(fd);
    let position = 0;
    const take = async (count: number): Promise<Buffer> => {
      if (count > sizeBytes - position) throw damagedSpool(path, position, `${count} more bytes`);
      const bytes = Buffer.allocUnsafe(count);
      const found = await files.read(fd, bytes, position).catch((cause: unknown) => {
        throw damagedSpool(path, position, `${count} readable bytes`, cause);
      });
      if (found !== count) throw damagedSpool(path, position, `${count} more bytes`);
      position += count;
      return bytes;
    };
    if (!(await take(MAGIC.length)).equals(MAGIC)) throw damagedSpool(path, 0, 'the magic of a spool of this version');
    let crc = 0;
    let counted = 0;
    for (;;) {
      const at = position;
      const prefix = await take(PREFIX_BYTES);
      const bodyBytes = prefix.readUInt32BE(1);
      if (bodyBytes > BLOCK_BYTES_MAX) throw damagedSpool(path, at, 'a block of a sensible size');
      const body = await take(bodyBytes);
      crc = checksum(body, checksum(prefix.subarray(0, 5), crc));
      if (prefix.readUInt32BE(5) !== crc) throw damagedSpool(path, at, 'a block with its checksum');
      const input = new ByteReader(body);
      if (prefix.readUInt8(0) === BlockKind.FOOTER) {
        if (input.u53() !== counted || position !== sizeBytes) {
          throw damagedSpool(path, at, `an end that counts ${counted} entries`);
        }
        return;
      }
      const entries: Entry[] = [];
      while (input.remaining > 0) {
        const term = input.u53();
        const index = input.u53();
        const kind = input.u8() as EntryKind;
        entries.push({ term, index, kind, data: input.raw(input.u32()) });
      }
      counted += entries.length;
      yield entries;
    }
  } finally {
    await files.close(fd);
  }
}

function writeHead(into: Buffer, at: number, term: number, index: number, kind: number, dataBytes: number): number {
  const next = into.writeUInt32BE(Math.floor(term / 0x1_0000_0000), at);
  into.writeUInt32BE(term >>> 0, next);
  into.writeUInt32BE(Math.floor(index / 0x1_0000_0000), at + 8);
  into.writeUInt32BE(index >>> 0, at + 12);
  into.writeUInt8(kind, at + 16);
  return into.writeUInt32BE(dataBytes, at + 17);
}

function damagedSpool(path: string, offset: number, expected: string, cause?: unknown): SluiceError {
  return new SluiceError('SPOOL_DAMAGED', `${path} is damaged at byte ${offset}: expected ${expected}`, {
    hint: 'Remove this file. The replica it was for gets its state from its peers again.',
    cause,
  });
}
