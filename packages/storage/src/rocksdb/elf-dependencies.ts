/**
 * The libraries that a shared object asks the dynamic linker for, in a 64-bit little-endian ELF file as it lies on the disk
 * (System V ABI, "Dynamic Section"). Only what is needed to take one of them off the list.
 */
interface Needed {
  name: string;
  /** Of the eight bytes that say where in the table of strings the name is. */
  at: number;
}

/**
 * The list with one name less. The entry says another name a second time, which the linker passes over: nothing moves, so
 * nothing else in the file has to be known.
 * @returns false when the file is no such object or does not need the library; it is unchanged then
 */
export function dropDependency(file: Buffer, isDropped: (name: string) => boolean): boolean {
  const needed = dependencies(file);
  const dropped = needed.filter(({ name }) => isDropped(name));
  const kept = needed.find(({ name }) => !isDropped(name));
  if (dropped.length === 0 || kept === undefined) return false;
  for (const { at } of dropped) file.copy(file, at, kept.at, kept.at + 8);
  return true;
}

function dependencies(file: Buffer): Needed[] {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) return [];
  const loaded: Segment[] = [];
  let dynamic: Segment | undefined;
  const [headersAt, headerBytes, headers] = [u64(file, 0x20), file.readUInt16LE(0x36), file.readUInt16LE(0x38)];
  for (let i = 0; i < headers; i++) {
    const at = headersAt + i * headerBytes;
    const type = file.readUInt32LE(at);
    const segment = { offset: u64(file, at + 8), address: u64(file, at + 16), bytes: u64(file, at + 32) };
    if (type === SEGMENT_LOADED) loaded.push(segment);
    if (type === SEGMENT_DYNAMIC) dynamic = segment;
  }
  if (dynamic === undefined) return [];
  const names: number[] = [];
  let stringsAt = -1;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.bytes; at += 16) {
    const tag = u64(file, at);
    if (tag === TAG_END) break;
    if (tag === TAG_NEEDED) names.push(at + 8);
    if (tag === TAG_STRINGS) stringsAt = offsetOf(loaded, u64(file, at + 8));
  }
  if (stringsAt < 0) return [];
  return names.map((at) => {
    const from = stringsAt + u64(file, at);
    return { at, name: file.toString('latin1', from, file.indexOf(0, from)) };
  });
}

interface Segment {
  offset: number;
  address: number;
  bytes: number;
}

const SEGMENT_LOADED = 1;
const SEGMENT_DYNAMIC = 2;
const TAG_END = 0;
const TAG_NEEDED = 1;
const TAG_STRINGS = 5;

const u64 = (file: Buffer, at: number): number => Number(file.readBigUInt64LE(at));

function offsetOf(loaded: readonly Segment[], address: number): number {
  const segment = loaded.find((each) => address >= each.address && address < each.address + each.bytes);
  return segment === undefined ? -1 : address - segment.address + segment.offset;
}
