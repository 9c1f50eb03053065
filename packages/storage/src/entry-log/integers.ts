/** Safe integers as two little-endian 32-bit halves: several times cheaper than a BigInt. */
const HIGH = 0x1_0000_0000;

export function writeU53(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value >>> 0, at);
  bytes.writeUInt32LE(Math.floor(value / HIGH), at + 4);
}

export function readU53(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * HIGH + bytes.readUInt32LE(at);
}
