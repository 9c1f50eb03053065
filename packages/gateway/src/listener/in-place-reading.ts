import type { Socket } from 'node:net';
import type { ByteSink } from '../connection/byte-channel.ts';

/** Of Node.js: where this was tried. On others nothing is read in place. */
const MAJOR_VERSIONS: ReadonlySet<number> = new Set([20, 22, 24]);
/** Read at once where nobody has room. */
const WIDE_BYTES = 64 * 1024;
/** The same after a large packet: likely the head of the next, and what comes behind that is to be read in place. */
const NARROW_BYTES = 4 * 1024;

/**
 * The rest of large packets goes from the socket to where it belongs. As chunks of 64 KiB it would be copied there, and the
 * chunks left to the garbage collector: half of the fresh memory of an image.
 *
 * `net` has this as `onread`, but only for sockets that a program opens. One that was accepted gets it by the names that
 * `onread` has inside: no interface, so it is done on versions where it was tried, and where all of them are found.
 * Elsewhere, and for TLS and WebSocket, bytes come as chunks, and nobody downstream can tell.
 *
 * What is read where nobody has room goes through memory that all sockets share, and is copied out of it before the next
 * one is read: who waits holds nothing.
 *
 * A paused stream still gets what comes, up to its high-water mark, as it would from `net`: a client that leaves while
 * nobody wants its bytes is noticed in the same way.
 */
export function readInPlace(socket: Socket, sink: ByteSink): void {
  if (isHeldBack(socket) || socket.destroyed) return;
  const names = namesOf(socket);
  const { _handle: handle } = socket as SocketInside;
  if (names === undefined || typeof handle?.useUserBuffer !== 'function') return;
  const inside = socket as unknown as Record<symbol, unknown>;
  // It is, since an earlier packet: this was what the stream held while it was paused.
  if (typeof inside[names.read] === 'function') return;
  let room = sink.room;
  const place = (): Uint8Array => {
    const hadRoom = room !== undefined;
    room = isHeldBack(socket) ? undefined : sink.room;
    return room ?? (hadRoom ? NARROW : WIDE);
  };
  /** False: read no more, until the stream is resumed. */
  const read = (count: number): boolean => {
    if (room !== undefined) sink.filled(count);
    else if (isHeldBack(socket)) return socket.push(Buffer.from(WIDE.subarray(0, count)));
    else sink.bytes(WIDE.slice(0, count));
    return true;
  };
  const first = room ?? WIDE;
  inside[names.buffer] = first;
  inside[names.place] = place;
  inside[names.read] = read;
  // It remembers an address, no object: that is kept alive by the field above.
  handle.useUserBuffer(first);
}

/** What the stream holds must come first. */
function isHeldBack(socket: Socket): boolean {
  return socket.isPaused() || socket.readableLength > 0;
}

const WIDE = new Uint8Array(WIDE_BYTES);
const NARROW = WIDE.subarray(0, NARROW_BYTES);

type SocketInside = Socket & { _handle?: { useUserBuffer?: (buffer: Uint8Array) => void } | null };

interface Names {
  readonly buffer: symbol;
  readonly place: symbol;
  readonly read: symbol;
}

/** The same for all sockets; false where they are not all there. */
let known: Names | false | undefined;

function namesOf(socket: Socket): Names | undefined {
  known ??= isTried() && lookFor(socket);
  return known === false ? undefined : known;
}

function isTried(): boolean {
  // On Windows several sockets are given memory before any of them is read.
  return process.platform !== 'win32' && MAJOR_VERSIONS.has(Number.parseInt(process.versions.node, 10));
}

function lookFor(socket: Socket): Names | false {
  const symbols = Object.getOwnPropertySymbols(socket);
  const named = (description: string): symbol | undefined => symbols.find((it) => it.description === description);
  const [buffer, place, read] = [named('kBuffer'), named('kBufferGen'), named('kBufferCb')];
  if (buffer === undefined || place === undefined || read === undefined) return false;
  return { buffer, place, read };
}
