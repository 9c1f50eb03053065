import type { TextBytes } from './utf8.ts';

/** From this size on a packet that is split over chunks is kept in their pieces until it is whole. */
export const LARGE_BODY_BYTES = 64 * 1024;
/**
 * In front of the body in its buffer: for the head of a stored record, so that it need not be copied to get one. What is
 * before the payload in the body itself (topic, packet id) counts, too, so this is for what a record has beyond it.
 */
export const BODY_ROOM_BYTES = 256;

/** A smaller piece is copied: each costs an object or two beside its bytes. */
const PIECE_BYTES_MIN = 4 * 1024;
/** So is one that would keep a chunk alive of more than so many times its size. What is kept counts with its chunk. */
const CHUNK_FACTOR_MAX = 4;
/** What small pieces gather in: as much as has come, within these. */
const GATHER_BYTES_MIN = 1024;
const GATHER_BYTES_MAX = 16 * 1024;

/** Of the announced length, how much must have come until memory for all of it is taken: a third. */
const CLAIM_FACTOR = 3;

/**
 * The body of a large packet while it arrives. An announced length is a claim, so memory for all of it may not be taken at
 * the first bytes; a buffer that grows with them is allocated twice and copied more than once. Here what has come stays
 * where it is until it is a third. Then there is one buffer of the right size, and with all that comes into it at least as
 * much of what waited is moved there: one copy, never of all at once, since the megabytes of one client are time of the
 * others.
 *
 * What is held is at most seven times what has come and `GATHER_BYTES_MAX`: four for the chunks that pieces keep alive, three
 * for the buffer. A socket's chunk is as large as what came in it, so only one with other packets in front is more than its
 * piece, and four times is what is seen. Of a body that is believed there is the buffer at once: its announced length, which is
 * no more than that of a packet that has come whole over this connection.
 *
 * Once there is the buffer, its `room` may be filled by whoever reads the socket, and nothing of that is copied.
 *
 * @hotpath
 */
export class LargeBody {
  readonly #sizeBytes: number;
  /** Memory for all of it is taken at its first bytes. */
  readonly #isBelieved: boolean;
  #received = 0;
  /** All that will have come, behind `BODY_ROOM_BYTES` of room. */
  #whole: TextBytes | undefined = undefined;
  readonly #pieces: Uint8Array[] = [];
  /** Of the pieces and their bytes, how many are where they belong. */
  #piecesMoved = 0;
  #moved = 0;
  /** The last piece, when small ones are gathered in it; `#gathered` of it is used. */
  #gather: Uint8Array | undefined = undefined;
  #gathered = 0;
  /** Of memory: the chunks that pieces are views of, what gathers with what is unused of it, and the whole. */
  heldBytes = 0;

  constructor(sizeBytes: number, isBelieved = false) {
    this.#sizeBytes = sizeBytes;
    this.#isBelieved = isBelieved;
  }

  /** Where the next bytes belong; undefined while there is no buffer, and when nothing is missing. */
  get room(): Uint8Array | undefined {
    const whole = this.#whole;
    if (whole === undefined || this.#received === this.#sizeBytes) return undefined;
    return whole.subarray(BODY_ROOM_BYTES + this.#received);
  }

  /** So many bytes were put into the room. */
  filled(count: number): void {
    this.#received += count;
    this.#move(this.#whole as TextBytes, count);
  }

  /** Takes `count` bytes of the chunk, which must not change afterwards. */
  add(chunk: TextBytes, at: number, count: number): void {
    const whole = this.#whole ?? this.#claim(count);
    const start = this.#received;
    this.#received += count;
    if (whole === undefined) {
      this.#keep(chunk, at, count);
      return;
    }
    chunk.copy(whole, BODY_ROOM_BYTES + start, at, at + count);
    this.#move(whole, count);
  }

  /** All that came, behind `BODY_ROOM_BYTES` of room. */
  whole(): TextBytes {
    const whole = this.#whole as TextBytes;
    this.#move(whole, this.#sizeBytes);
    return whole;
  }

  #claim(count: number): TextBytes | undefined {
    if (!this.#isBelieved && (this.#received + count) * CLAIM_FACTOR < this.#sizeBytes) return undefined;
    this.#endGathering();
    // Not from the runtime's pool: nobody else's bytes lie in it, and none are kept with it.
    this.#whole = Buffer.allocUnsafeSlow(BODY_ROOM_BYTES + this.#sizeBytes) as unknown as TextBytes;
    this.heldBytes += this.#whole.length;
    return this.#whole;
  }

  /** So many bytes of what waited. */
  #move(whole: TextBytes, count: number): void {
    let left = count;
    for (; left > 0 && this.#piecesMoved < this.#pieces.length; this.#piecesMoved++) {
      const piece = this.#pieces[this.#piecesMoved] as Uint8Array;
      whole.set(piece, BODY_ROOM_BYTES + this.#moved);
      this.#pieces[this.#piecesMoved] = NO_PIECE;
      this.#moved += piece.length;
      this.heldBytes -= piece.buffer.byteLength;
      left -= piece.length;
    }
  }

  #keep(chunk: TextBytes, at: number, count: number): void {
    if (count >= PIECE_BYTES_MIN && count * CHUNK_FACTOR_MAX >= chunk.buffer.byteLength) {
      this.#endGathering();
      this.#pieces.push(chunk.subarray(at, at + count));
      this.heldBytes += chunk.buffer.byteLength;
      return;
    }
    const start = at + this.#fill(chunk, at, count);
    const left = at + count - start;
    if (left === 0) return;
    this.#endGathering();
    this.#gather = new Uint8Array(Math.max(GATHER_BYTES_MIN, left, Math.min(this.heldBytes, GATHER_BYTES_MAX)));
    this.heldBytes += this.#gather.length;
    this.#fill(chunk, start, left);
  }

  /** @returns how many bytes what gathers had room for. */
  #fill(chunk: TextBytes, at: number, count: number): number {
    const gather = this.#gather;
    if (gather === undefined) return 0;
    const fits = Math.min(count, gather.length - this.#gathered);
    gather.set(chunk.subarray(at, at + fits), this.#gathered);
    this.#gathered += fits;
    return fits;
  }

  #endGathering(): void {
    const gather = this.#gather;
    if (gather === undefined) return;
    // A view would keep what is unused: 16 KiB for a single byte between two large pieces.
    const piece = this.#gathered === gather.length ? gather : gather.slice(0, this.#gathered);
    this.#pieces.push(piece);
    this.heldBytes += piece.length - gather.length;
    this.#gather = undefined;
    this.#gathered = 0;
  }
}

const NO_PIECE = new Uint8Array(0);
