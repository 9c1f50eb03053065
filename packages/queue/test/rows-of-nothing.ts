import type { Rows } from '../src/machine/row/rows.ts';

/** Rows that are not there and are not kept, for what must not come so far as to need any. */
export const ROWS_OF_NOTHING: Rows = {
  get: () => undefined,
  put: () => {},
  create: () => {},
  save: () => {},
  delete: () => {},
  end: () => {},
};
