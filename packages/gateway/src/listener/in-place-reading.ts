import type { Socket } from 'node:net';
import type { ByteSink } from '../connection/byte-channel.ts';

/** Of Node.js: where this was tried. On others nothing is read in place. */
const MAJOR_VERSIONS: ReadonlySet<number> = new Set([20, 22, 24, 26]);
/** Read at once where nobody has room. */
const WIDE_BYTES = 64 * 1024;
/** The same after a large packet: likely the head of the next, and what comes behind that is to be read in place. */
const NARROW_BYTES = 4 * 1024;

/**
 * What a stream does for a read of a socket costs more than the read: 64 KiB of fresh memory that are given back but for
 * what came, two objects around it, a tick. Most reads of a gateway that has many consumers are the four bytes of an
 * acknowledgement. And the rest of a large packet, as chunks of 64 KiB, is copied to where it belongs, and the chunks are
 * half of the fresh memory of an image.
 *
 * So sockets are read into memory that they all share, and what was read is lent to its connection until the next socket
 * is: acknowledgements are decoded there, anything else is copied out (`Decoder.lend`). The rest of a large packet goes
 * to where it belongs (`ByteSink.room`).
 *
 * `net` has this as `onread`, but only for sockets that a program opens. One that was accepted gets it by the names that
 * `onread` has inside: no interface, so it is done on versions where it was tried, and where all of them are found.
 * Elsewhere, and for TLS and WebSocket, bytes come as chunks, and nobody downstream can tell.
 *
 * A paused stream still gets what comes, up to its high-water mark, as it would from `net`: a client that leaves while
 * nobody wants its bytes is noticed in the same way.
 */
export function readInPlace(socket: SinkSocket): void {
  if (isHeldBack(socket) || socket.destroyed) return;
  const names = namesOf(socket);
  const { _handle: handle } = socket as SocketInside;
  if (names === undefined || typeof handle?.useUserBuffer !== 'function') return;
  const inside = socket as unknown as Inside;
  // It is already: this was what the stream held while it was paused.
  if (inside[names.read] === read) return;
  const room = socket[SINK]?.room;
  if (room !== undefined) inside[names.place] = placesOf(socket, names);
  const first = room ?? WIDE;
  inside[names.buffer] = first;
  inside[names.read] = read;
  // It remembers an address, no object: that is kept alive by the field above.
  handle.useUserBuffer(first);
}

/** Where a socket's bytes go stands with the socket: a closure an event and connection is a quarter of a kilobyte. */
export const SINK = Symbol('sink');
export type SinkSocket = Socket & { [SINK]?: ByteSink };

/** So much was read, to there. False: read no more, until the stream is resumed. */
function read(this: SinkSocket, count: number, place: Uint8Array): boolean {
  const sink = this[SINK] as ByteSink;
  if (!isShared(place)) sink.filled(count);
  else if (isHeldBack(this)) return this.push(Buffer.from(sharedBytes(count)));
  else {
    sink.lent(sharedBytes(count));
    // From its first large packet on it is asked at each read: who sends one sends others.
    if (sink.room !== undefined) {
      const names = namesOf(this) as Names;
      (this as unknown as Inside)[names.place] ??= placesOf(this, names);
    }
  }
  return true;
}

/** Asked after each read where the next goes to. */
function placesOf(socket: SinkSocket, { buffer }: Names): () => Uint8Array {
  const inside = socket as unknown as Inside;
  return () => {
    const room = isHeldBack(socket) ? undefined : socket[SINK]?.room;
    return room ?? (isShared(inside[buffer]) ? WIDE : NARROW);
  };
}

/** What the stream holds must come first. */
function isHeldBack(socket: Socket): boolean {
  return socket.isPaused() || socket.readableLength > 0;
}

const WIDE = Buffer.allocUnsafeSlow(WIDE_BYTES);
const NARROW = WIDE.subarray(0, NARROW_BYTES);

function isShared(place: unknown): boolean {
  return place === WIDE || place === NARROW;
}

/** What was read there. To make a view costs as much as to decode an acknowledgement: those of a few are kept. */
function sharedBytes(count: number): Buffer {
  const known = VIEWS[count];
  if (known !== undefined) return known;
  const view = WIDE.subarray(0, count);
  if (count < VIEWS.length) VIEWS[count] = view;
  return view;
}

/** By length. */
const VIEWS = new Array<Buffer | undefined>(256).fill(undefined);

type Inside = Record<symbol, unknown>;
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
