import { dirname } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import { checksum } from './checksum.ts';
import { errorCode, type FileOperations } from './files/file-operations.ts';

/** A few bytes that must survive a crash as a whole, in a file: magic, CRC of the body, body. */
const MAGIC = Buffer.from('SLUICEN1', 'latin1');
const HEADER_BYTES = 12;

/** Replaces what the note said. Durable when it resolves; before, the old one stands. */
export async function writeNote(path: string, body: Uint8Array, files: FileOperations): Promise<void> {
  const temporary = `${path}.tmp`;
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32BE(checksum(body), MAGIC.length);
  const fd = await files.open(temporary, 'replace');
  try {
    const written = await files.writev(fd, [header, body], 0);
    if (written !== HEADER_BYTES + body.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
    await files.datasync(fd);
  } finally {
    await files.close(fd);
  }
  await files.rename(temporary, path);
  await files.syncDirectory(dirname(path));
}

/** Undefined when there is none. @throws SluiceError `NOTE_DAMAGED` */
export async function readNote(path: string, files: FileOperations): Promise<Uint8Array | undefined> {
  let fd: number;
  try {
    fd = await files.open(path, 'read');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(await files.sizeBytes(fd));
    const found = await files.read(fd, bytes, 0).catch((cause: unknown) => {
      throw damagedNote(path, cause);
    });
    const body = bytes.subarray(HEADER_BYTES);
    const whole =
      found === bytes.length &&
      found >= HEADER_BYTES &&
      bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
      bytes.readUInt32BE(MAGIC.length) === checksum(body);
    if (whole) return body;
  } finally {
    await files.close(fd);
  }
  throw damagedNote(path);
}

function damagedNote(path: string, cause?: unknown): SluiceError {
  return new SluiceError('NOTE_DAMAGED', `${path} is damaged`, { cause });
}

/** Durable when it resolves. */
export async function removeNote(path: string, files: FileOperations): Promise<void> {
  await files.unlink(path);
  await files.syncDirectory(dirname(path));
}
