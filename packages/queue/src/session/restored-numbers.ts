import { decodeNumbersRow, encodeNumbersRow } from './session-rows.ts';

/**
 * A partition's numbers never come twice: others remember which QoS 2 publishes and groups of wills they have by the
 * numbers that this one gave. Partitions of a backup are of different moments, so they may know numbers that this one, read
 * before them, will have given only later. Given once more, for other messages, they would be acknowledged and stored nowhere.
 *
 * So a restored partition goes on far above whatever it can have given while the backup was made.
 *
 * @param value the row of the backup; undefined: it had given none.
 */
export function restoredNumbersRow(value: Uint8Array | undefined): Uint8Array {
  const { last, sessions } = value === undefined ? { last: 0, sessions: 0 } : decodeNumbersRow(value);
  return encodeNumbersRow({ last: last + NUMBERS_LEFT_OUT, sessions });
}

/** More than a partition gives in years, and a millionth of all there are (ids of streams are made of them). */
export const NUMBERS_LEFT_OUT = 2 ** 32;
