/**
 * What every payload begins with: which run and publisher it is of, its place in that publisher's sequence, and when
 * it was due. The rest of a payload is random bytes, as images are: nothing on the way can compress it.
 *
 * @hotpath
 */
export const STAMP_BYTES = 24;

const MAGIC = 0x534c_4200;
/** Publishers of one run, and runs told apart. */
const PUBLISHER_BITS = 16;

export class Stamp {
  publisher: number;
  sequence: number;
  dueUs: number;

  constructor() {
    this.publisher = 0;
    this.sequence = 0;
    this.dueUs = 0;
  }

  /** False when the payload is not of this run: left over from another, or not ours. */
  read(payload: Uint8Array, run: number): boolean {
    if (payload.length < STAMP_BYTES) return false;
    const view = viewOf(payload);
    const at = payload.byteOffset;
    if (view.getUint32(at, true) !== (MAGIC | (run & 0xff)) >>> 0) return false;
    const identity = view.getUint32(at + 4, true);
    if (identity >>> PUBLISHER_BITS !== (run >>> 8) % 0x1_0000) return false;
    this.publisher = identity & 0xffff;
    this.sequence = view.getFloat64(at + 8, true);
    this.dueUs = view.getFloat64(at + 16, true);
    return true;
  }
}

export function writeStamp(
  bytes: Uint8Array,
  at: number,
  run: number,
  publisher: number,
  sequence: number,
  dueUs: number,
): void {
  const view = viewOf(bytes);
  const start = bytes.byteOffset + at;
  view.setUint32(start, (MAGIC | (run & 0xff)) >>> 0, true);
  view.setUint32(start + 4, (((run >>> 8) % 0x1_0000) * 0x1_0000 + publisher) >>> 0, true);
  view.setFloat64(start + 8, sequence, true);
  view.setFloat64(start + 16, dueUs, true);
}

/** Many messages of a chunk share one buffer: its view is made once. */
let viewed: ArrayBufferLike | undefined;
let view: DataView<ArrayBufferLike> = new DataView(new ArrayBuffer(0));

function viewOf(bytes: Uint8Array): DataView<ArrayBufferLike> {
  const buffer = bytes.buffer;
  if (buffer !== viewed) {
    viewed = buffer;
    view = new DataView(buffer);
  }
  return view;
}
