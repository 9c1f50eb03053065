import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/storage/src/${file}.ts`,
  find,
  put,
});

export const STORAGE_BUGS: PlantedBugs = {
  tests: 'packages/storage/',
  bugs: [
    bug(
      'gathering-engine',
      'rows on their way to the engine are not seen',
      'this.#waiting.range(from, to, this.#leaving)',
      'this.#waiting.range(from, to, undefined)',
    ),
    bug(
      'gathering-engine',
      'rows that a full disk refused are forgotten',
      '      leaving.addAll(this.#waiting);\n      this.#waiting = leaving;\n',
      '',
    ),
    bug(
      'gathering-engine',
      'a scan finds fewer than there are when some of them were deleted',
      'Math.min(limit + merge.deletions, Number.MAX_SAFE_INTEGER)',
      'limit',
    ),
    bug(
      'gathered-rows',
      'a scan shows a row on its way beside the one that was written over it',
      ' && over?.has(id) !== true',
      '',
    ),
    bug(
      'gathered-rows',
      'a scan copies all that waits behind its end',
      '      if (rows.length >= limit) return;\n',
      '',
    ),
    bug(
      'entry-log/segment/active-segment',
      'a frame counts before it is synced',
      "await files.open(temporary, isRecycled ? 'update' : 'replace', sync ? 'synced' : undefined)",
      "await files.open(temporary, isRecycled ? 'update' : 'replace')",
    ),
    bug(
      'entry-log/recovery/recover',
      'a frame counts before it is synced, after a restart',
      "await files.open(path, 'update', sync ? 'synced' : undefined)",
      "await files.open(path, 'update')",
    ),
    bug(
      'entry-log/log-writer',
      'what a full disk cut back may come back after a power loss',
      '      await files.datasync(active.fd);\n    } catch',
      '    } catch',
    ),
    bug(
      'entry-log/log-writer',
      'after a failed sync writing goes on',
      '    this.#fence ??= fenced(error);\n',
      '    return fenced(error);\n',
    ),
    bug(
      'entry-log/log-writer',
      'a frame that did not fit on the disk stays',
      '      await this.#cutBack(active);\n',
      '',
    ),
    bug(
      'entry-log/recovery/recover',
      'a lost end is taken for a torn one',
      '  if (scan.end < acknowledged) {',
      '  if (scan.end < acknowledged && scan.end < 0) {',
    ),
    bug(
      'entry-log/recovery/recover',
      'damage in the middle is taken for a torn end',
      'if (scan.stop?.laterFrameAt !== undefined) {',
      'if (scan.stop?.laterFrameAt === -1) {',
    ),
    bug('entry-log/recovery/recover', 'a torn end is left in the file', '  await files.truncate(fd, scan.end);\n', ''),
    bug(
      'entry-log/recovery/recover',
      'a truncated sealed segment is accepted',
      '    if (sizeBytes !== facts.bytes) {',
      '    if (sizeBytes > facts.bytes) {',
    ),
    bug(
      'entry-log/segment/segment-scan',
      'payloads are not checked at recovery',
      'if (dataBytes > 0 && (await this.#sum(at, dataBytes)) !== records.readUInt32LE(i + 28)) {',
      'if (dataBytes < 0) {',
    ),
    bug(
      'entry-log/segment/segment-scan',
      'record headers are not checked',
      '    if (checksum(records) !== header.recordsCrc)\n',
      '    if (checksum(records) === -1)\n',
    ),
    bug(
      'entry-log/segment/segment-scan',
      'frames of another order are accepted',
      'if (lastSequence >= 0 && header.sequence !== lastSequence + 1) {',
      'if (lastSequence >= 0 && header.sequence < lastSequence) {',
    ),
    bug(
      'entry-log/segment/segment-scan',
      'an overwritten tail comes back',
      '        if (record.flags & SUPERSEDES) this.#rows.get(groupId)?.cutFrom(index);\n',
      '',
    ),
    bug(
      'image-file',
      'an image gets its name before it is durable',
      '    await files.datasync(fd);\n    open = false;',
      '    open = false;',
    ),
    bug('image-file', 'the name of an image may be lost', '    await files.syncDirectory(dirname(path));\n', ''),
    bug(
      'image-file',
      'a block of an image is not checked',
      'if (prefix.readUInt32BE(5) !== this.#crc) throw',
      'if (prefix.length < 0) throw',
    ),
  ],
};
