import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import type { Entry, EntryKind } from '@sluice/raft/entry';
import { checksum } from './checksum.ts';
import type { KeyValue } from './engine.ts';

/**
 * One group in a backup, as a stream of bytes: blocks of kind (1), body bytes (4), CRC (4), body, like those of an image.
 * The first is the head, then rows of the machine in ascending order of their keys, then the entries they point into,
 * ascending with gaps; the last counts both. Each CRC continues the one before it, so a block that is missing, repeated,
 * out of order or cut off is found like a damaged one. It crosses networks and lies on disks that are not ours for years:
 * what these bytes mean never changes, another format has another magic.
 */
export interface BackupHead {
  groupId: number;
  /** The rows hold what the entries up to here did. */
  index: number;
  term: number;
}

export type BackupPart =
  | { type: 'head'; head: BackupHead }
  | { type: 'rows'; rows: KeyValue[] }
  | { type: 'entries'; entries: Entry[] };

/** What comes behind the head. */
export type BackupContents = Exclude<BackupPart, { type: 'head' }>;

const MAGIC = Buffer.from('SLUICEB1', 'latin1');
/** Of every version: one digit follows. */
const MAGIC_OF_ALL = MAGIC.subarray(0, MAGIC.length - 1);
const PREFIX_BYTES = 9;
const BlockKind = { HEAD: 1, ROWS: 2, ENTRIES: 3, END: 4 } as const;
/** A block is read whole; a length beyond this is damage. */
const BLOCK_BYTES_MAX = 256 * 1024 * 1024;

/** Makes the bytes of each part; keeps nothing but the sum and the counts. */
export class BackupWriter {
  #crc = 0;
  #rows = 0;
  #entries = 0;

  head({ groupId, index, term }: BackupHead): Uint8Array[] {
    const body = new ByteWriter(32).u32(groupId).u53(index).u53(term).finish();
    return [MAGIC, ...this.#block(BlockKind.HEAD, body)];
  }

  rows(rows: readonly KeyValue[]): Uint8Array[] {
    const body = new ByteWriter(64 * 1024);
    for (const { key, value } of rows) body.sized(key).sized(value);
    this.#rows += rows.length;
    return this.#block(BlockKind.ROWS, body.finish());
  }

  entries(entries: readonly Entry[]): Uint8Array[] {
    const body = new ByteWriter(64 * 1024);
    for (const { term, index, kind, data } of entries) body.u53(term).u53(index).u8(kind).sized(data);
    this.#entries += entries.length;
    return this.#block(BlockKind.ENTRIES, body.finish());
  }

  end(): Uint8Array[] {
    return this.#block(BlockKind.END, new ByteWriter(16).u53(this.#rows).u53(this.#entries).finish());
  }

  #block(kind: number, body: Uint8Array): Uint8Array[] {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt8(kind, 0);
    prefix.writeUInt32BE(body.length, 1);
    this.#crc = checksum(body, checksum(prefix.subarray(0, 5), this.#crc));
    prefix.writeUInt32BE(this.#crc, 5);
    return [prefix, body];
  }
}

/**
 * Part by part, each verified before it is given out, one in memory at a time. That all came is known only when the
 * iteration ends. `name` is how errors call it.
 *
 * @throws SluiceError `BACKUP_DAMAGED` naming where; `BACKUP_NEWER` for a format this build does not know
 */
export async function* readBackup(bytes: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<BackupPart> {
  const input = new BlockInput(bytes, name);
  await input.begin();
  let rows = 0;
  let entries = 0;
  for (let isFirst = true; ; isFirst = false) {
    const at = input.position;
    const { kind, body } = await input.block();
    if (isFirst !== (kind === BlockKind.HEAD)) throw damagedBackup(name, at, 'one head, at the beginning');
    if (kind === BlockKind.END) {
      const totals = decode(name, at, () => ({ rows: body.u53(), entries: body.u53() }));
      if (totals.rows !== rows || totals.entries !== entries) {
        throw damagedBackup(name, at, `an end that counts ${rows} rows and ${entries} entries`);
      }
      await input.end();
      return;
    }
    const part = decode(name, at, () => partOf(kind, body));
    if (part === undefined) throw damagedBackup(name, at, 'a block of a known kind');
    if (part.type === 'rows') rows += part.rows.length;
    else if (part.type === 'entries') entries += part.entries.length;
    yield part;
  }
}

function partOf(kind: number, body: ByteReader): BackupPart | undefined {
  if (kind === BlockKind.HEAD) {
    return { type: 'head', head: { groupId: body.u32(), index: body.u53(), term: body.u53() } };
  }
  if (kind === BlockKind.ROWS) {
    const rows: KeyValue[] = [];
    while (body.remaining > 0) rows.push({ key: body.sized(), value: body.sized() });
    return { type: 'rows', rows };
  }
  if (kind !== BlockKind.ENTRIES) return undefined;
  const entries: Entry[] = [];
  while (body.remaining > 0) {
    const term = body.u53();
    const index = body.u53();
    entries.push({ term, index, kind: body.u8() as EntryKind, data: body.sized() });
  }
  return { type: 'entries', entries };
}

/** Blocks out of chunks of any size. Memory holds one block and the rest of one chunk. */
class BlockInput {
  position = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #name: string;
  #rest: Uint8Array = new Uint8Array(0);
  #crc = 0;

  constructor(bytes: AsyncIterable<Uint8Array>, name: string) {
    this.#chunks = bytes[Symbol.asyncIterator]();
    this.#name = name;
  }

  async begin(): Promise<void> {
    const magic = await this.#take(MAGIC.length);
    if (MAGIC.equals(magic)) return;
    if (!MAGIC_OF_ALL.equals(magic.subarray(0, MAGIC_OF_ALL.length))) {
      throw damagedBackup(this.#name, 0, 'the beginning of a file of a backup');
    }
    throw newerBackup(this.#name);
  }

  async block(): Promise<{ kind: number; body: ByteReader }> {
    const at = this.position;
    const prefix = Buffer.from(await this.#take(PREFIX_BYTES));
    const bodyBytes = prefix.readUInt32BE(1);
    if (bodyBytes > BLOCK_BYTES_MAX) throw damagedBackup(this.#name, at, 'a block of a sensible size');
    const body = await this.#take(bodyBytes);
    this.#crc = checksum(body, checksum(prefix.subarray(0, 5), this.#crc));
    if (prefix.readUInt32BE(5) !== this.#crc) throw damagedBackup(this.#name, at, 'a block with its checksum');
    return { kind: prefix.readUInt8(0), body: new ByteReader(body) };
  }

  async end(): Promise<void> {
    if (this.#rest.length > 0 || (await this.#more())) throw damagedBackup(this.#name, this.position, 'the end');
  }

  async #take(count: number): Promise<Uint8Array> {
    const at = this.position;
    if (this.#rest.length < count) {
      const parts = [this.#rest];
      for (let held = this.#rest.length; held < count; held += this.#rest.length) {
        if (!(await this.#more())) throw damagedBackup(this.#name, at, `${count} more bytes`);
        parts.push(this.#rest);
      }
      this.#rest = Buffer.concat(parts);
    }
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    this.position += count;
    return taken;
  }

  /** False at the end. */
  async #more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#chunks.next();
      if (done) return false;
      if (value.length === 0) continue;
      this.#rest = value;
      return true;
    }
  }
}

function decode<T>(name: string, at: number, read: () => T): T {
  try {
    return read();
  } catch {
    throw damagedBackup(name, at, 'a readable block');
  }
}

export function damagedBackup(name: string, offset: number, expected: string): SluiceError {
  return new SluiceError('BACKUP_DAMAGED', `${name} is damaged at byte ${offset}: expected ${expected}`, {
    hint: 'this backup cannot be restored: use another copy of it, or an older one',
  });
}

export function newerBackup(name: string): SluiceError {
  return new SluiceError('BACKUP_NEWER', `${name} has a format that this version does not know`, {
    hint: 'it was made by a newer version of Sluice: use that version or a later one',
  });
}
