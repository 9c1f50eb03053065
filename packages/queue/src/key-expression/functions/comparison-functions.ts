import { Failure, type Value } from '../value.ts';
import { type KeyFunction, numberPair, scalarFunction, textFunction } from './key-function.ts';

const ORDERS: readonly (readonly [suffix: string, of: (order: number) => Value])[] = [
  ['comp', (order) => (order < 0 ? 'lt' : order > 0 ? 'gt' : 'eq')],
  ['eq', (order) => order === 0],
  ['neq', (order) => order !== 0],
  ['lt', (order) => order < 0],
  ['lte', (order) => order <= 0],
  ['gt', (order) => order > 0],
  ['gte', (order) => order >= 0],
];

/** `str_*` compares by the bytes of UTF-8, `num_*` by value and also reads numbers from text. */
export const COMPARISON_FUNCTIONS: readonly KeyFunction[] = [
  ...ORDERS.map(([suffix, of]) =>
    textFunction(`str_${suffix}`, [2, 2], (left, right) => of(compareTexts(left, right))),
  ),
  ...ORDERS.map(([suffix, of]) =>
    scalarFunction(`num_${suffix}`, [2, 2], ([left, right]) => {
      const pair = numberPair(left as Value, right as Value);
      return pair instanceof Failure ? pair : of(pair[0] - pair[1]);
    }),
  ),
  scalarFunction('not', [1, 1], ([value]) => {
    if (typeof value === 'boolean') return !value;
    if (value === 'true') return 'false';
    if (value === 'false') return 'true';
    return new Failure('not of something that is neither true nor false');
  }),
];

function compareTexts(left: string, right: string): number {
  return left === right ? 0 : Buffer.compare(Buffer.from(left), Buffer.from(right));
}
