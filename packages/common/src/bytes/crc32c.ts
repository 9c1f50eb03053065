/**
 * CRC32C (Castagnoli), slice-by-8, for the small inputs of the pure packages. Large payloads are summed by the
 * storage package's native routine; both give the same value.
 */
const POLYNOMIAL = 0x82f63b78;
const TABLE = buildTable();

function buildTable(): Uint32Array {
  const table = new Uint32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let crc = n;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[n] = crc >>> 0;
  }
  for (let n = 0; n < 256; n++) {
    let crc = table[n] as number;
    for (let slice = 1; slice < 8; slice++) {
      crc = ((crc >>> 8) ^ (table[crc & 0xff] as number)) >>> 0;
      table[slice * 256 + n] = crc;
    }
  }
  return table;
}

/** `seed` continues an earlier sum: crc32c(b, crc32c(a)) is the sum of a followed by b. Unsigned 32 bits. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const t = TABLE;
  let crc = ~seed >>> 0;
  let i = 0;
  const end8 = bytes.length - 7;
  while (i < end8) {
    const lo =
      crc ^
      ((bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24));
    crc =
      (t[1792 + (lo & 0xff)] as number) ^
      (t[1536 + ((lo >>> 8) & 0xff)] as number) ^
      (t[1280 + ((lo >>> 16) & 0xff)] as number) ^
      (t[1024 + (lo >>> 24)] as number) ^
      (t[768 + (bytes[i + 4] as number)] as number) ^
      (t[512 + (bytes[i + 5] as number)] as number) ^
      (t[256 + (bytes[i + 6] as number)] as number) ^
      (t[bytes[i + 7] as number] as number);
    i += 8;
  }
  while (i < bytes.length) crc = (crc >>> 8) ^ (t[(crc ^ (bytes[i++] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
