/** What gRPC is given for coding messages: nothing to do, that is the matter of `rpc/wire`. */
export const asBytes = (bytes: Buffer): Uint8Array => bytes;

export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
