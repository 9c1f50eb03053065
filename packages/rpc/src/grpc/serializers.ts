import type { Frame } from '../wire/frame.ts';

/** What gRPC is given for coding messages: nothing to do, that is the matter of `rpc/wire`. */
export const asBytes = (bytes: Buffer): Uint8Array => bytes;

export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** gRPC asks a message for its length, and to copy itself behind the head that it writes: a frame can do both. */
export const frameAsBuffer = (frame: Frame): Buffer => frame as unknown as Buffer;
