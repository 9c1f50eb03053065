/**
 * A group as it is at one index, as the bytes of a backup, from the node that leads it. Whoever wants them asks for one
 * piece after the other: who is slow asks late, and the node keeps one block. A node has one such reading at a time, and
 * ends it when nobody asks for a while: as long as it lasts, the node gives little disk space back.
 */
export type BackupRequest =
  /** Group 0 is that of the metadata, the others are partitions. */
  | { type: 'open'; group: number }
  /** The next piece of a reading. Not to be asked twice at once. */
  | { type: 'read'; reading: number }
  /** Not wanted to its end. */
  | { type: 'close'; reading: number };

export type BackupResponse =
  | { type: 'opened'; reading: number }
  /** `isLast`: the reading is over. Empty while there is nothing yet: to be asked for again. */
  | { type: 'piece'; isLast: boolean; bytes: Uint8Array }
  | { type: 'closed' }
  /** `leader` is who leads the group as far as this node knows; 0 when it does not. */
  | { type: 'refused'; code: 'not-leader' | 'busy' | 'unavailable'; message: string; leader: number };

/** Of a piece, at most. */
export const PIECE_BYTES_MAX = 1024 * 1024;
