import { dirname, join } from 'node:path';
import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { checksum } from './checksum.ts';
import type { KeyValue } from './engine.ts';
import { errorCode, type FileOperations, isFullDisk } from './files/file-operations.ts';
import { nodeFileOperations } from './files/node-file-operations.ts';

/**
 * A machine's image in one file: blocks of kind (1), body bytes (4), CRC (4), body. The first is the header, the last
 * the footer with the totals, those between are chunks of rows. Each CRC continues the one before it, so a block that is
 * missing, repeated or out of order is found like a damaged one. The file gets its name when it is complete and durable:
 * a file of that name that does not read is damaged, never half written.
 */
export interface ImageHeader {
  groupId: number;
  /** The image holds what the entries up to here did. */
  index: number;
  term: number;
  /** The caller's: membership, machine version. */
  meta: Uint8Array;
}

export interface ImageFile {
  path: string;
  header: ImageHeader;
}

const MAGIC = Buffer.from('SLUICEI1', 'latin1');
const PREFIX_BYTES = 9;
const BlockKind = { HEADER: 1, ROWS: 2, FOOTER: 3 } as const;
/** A block is read whole; a length beyond this is damage. */
const BLOCK_BYTES_MAX = 256 * 1024 * 1024;
/** A chunk of rows is split above this. */
const BLOCK_BYTES_SPLIT = 4 * 1024 * 1024;

export function imageFileName(groupId: number, index: number): string {
  return `${groupId}-${index.toString(16).padStart(14, '0')}.image`;
}

/**
 * Writes `path` as a whole or not at all.
 *
 * @throws SluiceError `IMAGE_FULL` when the disk is full; nothing is left behind
 */
export async function writeImage(
  path: string,
  header: ImageHeader,
  chunks: AsyncIterable<KeyValue[]>,
  files: FileOperations = nodeFileOperations,
): Promise<{ bytes: number; rows: number }> {
  const temporary = `${path}.tmp`;
  const fd = await files.open(temporary, 'replace');
  let open = true;
  try {
    const output = new ImageOutput(files, fd);
    await output.start(header);
    let rows = 0;
    for await (const chunk of chunks) {
      await output.rows(chunk);
      rows += chunk.length;
    }
    await output.block(BlockKind.FOOTER, new ByteWriter(32).u53(output.rowBlocks).u53(rows).finish());
    await files.datasync(fd);
    open = false;
    await files.close(fd);
    await files.rename(temporary, path);
    await files.syncDirectory(dirname(path));
    return { bytes: output.position, rows };
  } catch (error) {
    if (open) await files.close(fd).catch(() => {});
    await files.unlink(temporary).catch(() => {});
    if (!isFullDisk(error)) throw error;
    throw new SluiceError('IMAGE_FULL', `no space left for the image ${path}`, {
      hint: 'Free space on that disk; the image is tried again later and the log is kept until then.',
      retriable: true,
      cause: error,
    });
  }
}

class ImageOutput {
  readonly #files: FileOperations;
  readonly #fd: number;
  #crc = 0;
  position = 0;
  rowBlocks = 0;

  constructor(files: FileOperations, fd: number) {
    this.#files = files;
    this.#fd = fd;
  }

  async start({ groupId, index, term, meta }: ImageHeader): Promise<void> {
    await this.#write([MAGIC]);
    const body = new ByteWriter(64 + meta.length).u32(groupId).u53(index).u53(term).sized(meta);
    await this.block(BlockKind.HEADER, body.finish());
  }

  async rows(rows: readonly KeyValue[]): Promise<void> {
    let body = new ByteWriter(64 * 1024);
    for (const { key, value } of rows) {
      body.sized(key).sized(value);
      if (body.length < BLOCK_BYTES_SPLIT) continue;
      await this.#rowBlock(body.finish());
      body = new ByteWriter(64 * 1024);
    }
    if (body.length > 0) await this.#rowBlock(body.finish());
  }

  async #rowBlock(body: Uint8Array): Promise<void> {
    this.rowBlocks++;
    await this.block(BlockKind.ROWS, body);
  }

  async block(kind: number, body: Uint8Array): Promise<void> {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt8(kind, 0);
    prefix.writeUInt32BE(body.length, 1);
    this.#crc = checksum(body, checksum(prefix.subarray(0, 5), this.#crc));
    prefix.writeUInt32BE(this.#crc, 5);
    await this.#write([prefix, body]);
  }

  async #write(buffers: readonly Uint8Array[]): Promise<void> {
    let wanted = 0;
    for (const buffer of buffers) wanted += buffer.length;
    const written = await this.#files.writev(this.#fd, buffers, this.position);
    if (written !== wanted) throw Object.assign(new Error(`wrote ${written} of ${wanted} bytes`), { code: 'ENOSPC' });
    this.position += written;
  }
}

/**
 * The header at once; the rows when they are iterated, each verified before it is given out. That all of them came is
 * known only when the iteration ends without an error.
 *
 * @throws SluiceError `IMAGE_DAMAGED` naming file and offset, here or while iterating
 */
export async function readImage(
  path: string,
  files: FileOperations = nodeFileOperations,
): Promise<{ header: ImageHeader; chunks: AsyncIterable<KeyValue[]> }> {
  const fd = await files.open(path, 'read');
  try {
    const header = await new ImageInput(files, fd, path, await files.sizeBytes(fd)).header();
    return { header, chunks: readRows(path, files) };
  } finally {
    await files.close(fd);
  }
}

async function* readRows(path: string, files: FileOperations): AsyncGenerator<KeyValue[]> {
  const fd = await files.open(path, 'read');
  try {
    const input = new ImageInput(files, fd, path, await files.sizeBytes(fd));
    await input.header();
    for (;;) {
      const rows = await input.rows();
      if (rows === undefined) return;
      yield rows;
    }
  } finally {
    await files.close(fd);
  }
}

class ImageInput {
  readonly #files: FileOperations;
  readonly #fd: number;
  readonly #path: string;
  readonly #sizeBytes: number;
  #position = 0;
  #crc = 0;
  #rowBlocks = 0;
  #rows = 0;

  constructor(files: FileOperations, fd: number, path: string, sizeBytes: number) {
    this.#files = files;
    this.#fd = fd;
    this.#path = path;
    this.#sizeBytes = sizeBytes;
  }

  async header(): Promise<ImageHeader> {
    if (!(await this.#take(MAGIC.length)).equals(MAGIC))
      throw this.#damaged(0, 'the magic of an image of this version');
    const at = this.#position;
    const { kind, body } = await this.#block();
    if (kind !== BlockKind.HEADER) throw this.#damaged(at, 'a header');
    return this.#decode(at, () => {
      const input = new ByteReader(body);
      return { groupId: input.u32(), index: input.u53(), term: input.u53(), meta: input.sized() };
    });
  }

  /** Undefined behind the last row. */
  async rows(): Promise<KeyValue[] | undefined> {
    const at = this.#position;
    const { kind, body } = await this.#block();
    const input = new ByteReader(body);
    if (kind === BlockKind.ROWS) {
      const rows = this.#decode(at, () => {
        const rows: KeyValue[] = [];
        while (input.remaining > 0) rows.push({ key: input.sized(), value: input.sized() });
        return rows;
      });
      this.#rowBlocks++;
      this.#rows += rows.length;
      return rows;
    }
    const totals = this.#decode(at, () => ({ blocks: input.u53(), rows: input.u53() }));
    if (kind !== BlockKind.FOOTER || totals.blocks !== this.#rowBlocks || totals.rows !== this.#rows) {
      throw this.#damaged(at, `a footer that counts ${this.#rowBlocks} chunks and ${this.#rows} rows`);
    }
    if (this.#position !== this.#sizeBytes) throw this.#damaged(this.#position, 'the end of the file');
    return undefined;
  }

  async #block(): Promise<{ kind: number; body: Buffer }> {
    const at = this.#position;
    const prefix = await this.#take(PREFIX_BYTES);
    const bodyBytes = prefix.readUInt32BE(1);
    if (bodyBytes > BLOCK_BYTES_MAX) throw this.#damaged(at, 'a block of a sensible size');
    const body = await this.#take(bodyBytes);
    this.#crc = checksum(body, checksum(prefix.subarray(0, 5), this.#crc));
    if (prefix.readUInt32BE(5) !== this.#crc) throw this.#damaged(at, 'a block with its checksum');
    return { kind: prefix.readUInt8(0), body };
  }

  async #take(count: number): Promise<Buffer> {
    const at = this.#position;
    if (count > this.#sizeBytes - at) throw this.#damaged(this.#sizeBytes, `${count} more bytes from byte ${at} on`);
    const bytes = Buffer.allocUnsafe(count);
    let found: number;
    try {
      found = await this.#files.read(this.#fd, bytes, at);
    } catch (error) {
      throw this.#damaged(at, `${count} readable bytes`, error);
    }
    if (found !== count) throw this.#damaged(at + found, `${count} bytes from byte ${at} on`);
    this.#position += count;
    return bytes;
  }

  #decode<T>(at: number, decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      throw this.#damaged(at, 'a readable block', error);
    }
  }

  #damaged(offset: number, expected: string, cause?: unknown): SluiceError {
    return new SluiceError('IMAGE_DAMAGED', `${this.#path} is damaged at byte ${offset}: expected ${expected}`, {
      hint: 'Remove this file. An older image, the entry log or a peer has the same state.',
      cause,
    });
  }
}

/**
 * The images in a directory whose headers read, newest first a group; of one group only if that is asked for, or each of
 * thousands would have the headers of all others read. Half-written files are not images.
 */
export async function listImages(
  directory: string,
  files: FileOperations = nodeFileOperations,
  groupId?: number,
): Promise<{ images: ImageFile[]; damaged: SluiceError[] }> {
  const images: ImageFile[] = [];
  const damaged: SluiceError[] = [];
  for (const name of await files.list(directory)) {
    if (!name.endsWith('.image') || (groupId !== undefined && !name.startsWith(`${groupId}-`))) continue;
    const path = join(directory, name);
    try {
      images.push({ path, header: (await readImage(path, files)).header });
    } catch (error) {
      // It made room for a newer one meanwhile: another group's keeper has nothing to do with who looks.
      if (errorCode(error) === 'ENOENT') continue;
      if (!(error instanceof SluiceError)) throw error;
      damaged.push(error);
    }
  }
  images.sort((a, b) => a.header.groupId - b.header.groupId || b.header.index - a.header.index);
  return { images, damaged };
}
