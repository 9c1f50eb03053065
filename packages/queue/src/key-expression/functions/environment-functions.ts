import { DIGEST_ALGORITHMS, type DigestAlgorithm, type KeyEnvironment } from '../environment.ts';
import { bytesOf, Failure, integerOf, textOf, type Value } from '../value.ts';
import { choice, integerWithin, type KeyFunction, scalarFunction } from './key-function.ts';

const RANDOM_TEXT_LENGTH_MAX = 1_024;
/** So that `remainder * 256 + byte` stays exact. */
const RANGE_MAX = 2 ** 44;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** What depends on the environment: digests, chance, the clock, the operator's variables. */
export const ENVIRONMENT_FUNCTIONS: readonly KeyFunction[] = [
  {
    ...environmentFunction('hash', [2, 2], hash),
    prepare: ([algorithm]) => {
      const chosen = choice(algorithm, DIGEST_ALGORITHMS, 'sha256');
      return chosen instanceof Failure ? chosen : hash;
    },
  },
  environmentFunction('hash_to_range', [3, 3], ([value, least, most], environment) => {
    const data = bytesOf(value as Value);
    if (data instanceof Failure) return data;
    return mapToRange(environment.digest('sha256', data), least as Value, most as Value);
  }),
  scalarFunction('map_to_range', [3, 3], ([value, least, most]) => {
    if (typeof value === 'number') return mapToRange(value, least as Value, most as Value);
    const data = bytesOf(value as Value);
    return data instanceof Failure ? data : mapToRange(data, least as Value, most as Value);
  }),
  environmentFunction('rand_str', [1, 1], ([length], environment) => {
    const count = integerWithin(length as Value, 0, RANDOM_TEXT_LENGTH_MAX, 'the length');
    if (count instanceof Failure) return count;
    let text = '';
    for (let i = 0; i < count; i++) text += ALPHABET.charAt(environment.randomBelow(ALPHABET.length));
    return text;
  }),
  environmentFunction('rand_int', [1, 1], ([most], environment) => {
    const bound = integerWithin(most as Value, 1, 2 ** 32, 'the bound');
    return bound instanceof Failure ? bound : environment.randomBelow(bound) + 1;
  }),
  environmentFunction('getenv', [1, 1], ([value], environment) => {
    const name = textOf(value as Value);
    if (name instanceof Failure) return name;
    return environment.getenv(name) ?? new Failure('a variable that is not set for expressions', true);
  }),
  environmentFunction('timestamp_s', [0, 0], (_, environment) => Math.floor(environment.nowMs() / 1000)),
  environmentFunction('timestamp_ms', [0, 0], (_, environment) => Math.floor(environment.nowMs())),
];

function environmentFunction(
  name: string,
  arity: readonly [number, number],
  apply: (values: readonly Value[], environment: KeyEnvironment) => Value | Failure,
): KeyFunction {
  return { name, arity, takesList: false, result: 'scalar', pure: false, prepare: () => apply };
}

function hash([name, value]: readonly Value[], environment: KeyEnvironment): Value | Failure {
  const algorithm = choice(name, DIGEST_ALGORITHMS, 'sha256');
  if (algorithm instanceof Failure) return algorithm;
  const data = bytesOf(value as Value);
  if (data instanceof Failure) return data;
  return Buffer.from(environment.digest(algorithm as DigestAlgorithm, data)).toString('hex');
}

/** `least` up to and including `most`; bytes are read as one big-endian number. */
function mapToRange(value: number | Uint8Array, least: Value, most: Value): number | Failure {
  const from = integerOf(least);
  if (from instanceof Failure) return from;
  const to = integerOf(most);
  if (to instanceof Failure) return to;
  const range = to - from + 1;
  if (range < 1 || range > RANGE_MAX) return new Failure('a range that is empty or too wide');
  if (typeof value === 'number') {
    const integer = integerOf(value);
    return integer instanceof Failure ? integer : from + (((integer % range) + range) % range);
  }
  let remainder = 0;
  for (const byte of value) remainder = (remainder * 256 + byte) % range;
  return from + remainder;
}
