/**
 * The variable byte integer, MQTT 5 section 1.5.5: seven bits a byte, at most four bytes, in the fewest bytes that hold
 * the value [MQTT-1.5.5-1]. The decoder of the fixed header reads its own, a byte at a time, because it may stop
 * anywhere; `PacketBody` reads those inside a packet.
 */
export const VARIABLE_BYTE_INTEGER_MAX = 0x0fff_ffff;

export function variableByteIntegerSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

/** Returns the offset behind what it wrote. `value` is at most `VARIABLE_BYTE_INTEGER_MAX`. */
export function writeVariableByteInteger(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    bytes[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[next++] = rest;
  return next;
}
