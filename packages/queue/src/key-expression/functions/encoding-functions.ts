import { bytesOf, Failure, integerOf, textOf, type Value } from '../value.ts';
import { readJsonPath } from './json-path.ts';
import { choice, type KeyFunction, scalarFunction, textFunction } from './key-function.ts';
import { dataFunction } from './text-functions.ts';

const BASE64_OPTIONS = ['padding', 'no_padding', 'urlsafe'];
const NOT_BASE64 = new Failure('a text that is not base64');
const NOT_A_TOKEN = new Failure('a text that is not a JSON web token');

/** Bytes as text and back, and values out of JSON. */
export const ENCODING_FUNCTIONS: readonly KeyFunction[] = [
  dataFunction('bin2hexstr', [1, 1], (data) => Buffer.from(data).toString('hex').toUpperCase()),
  textFunction('hexstr2bin', [1, 1], (text) => {
    if (!/^[0-9a-fA-F]*$/.test(text)) return new Failure('a text that is not hexadecimal');
    return Buffer.from(text.length % 2 === 0 ? text : `0${text}`, 'hex');
  }),
  scalarFunction('int2hexstr', [1, 1], ([value]) => {
    const integer = integerOf(value as Value);
    return integer instanceof Failure ? integer : integer.toString(16).toUpperCase();
  }),
  {
    ...scalarFunction('base64_encode', [1, 3], () => ''),
    pure: false,
    prepare: (constants) =>
      checkOptions(constants) ??
      ((values, environment) => {
        const data = bytesOf(values[0] as Value);
        if (data instanceof Failure) return data;
        const wrong = checkOptions(values);
        if (wrong !== undefined) return wrong;
        let text = environment.base64Encode(data);
        if (values.includes('urlsafe', 1)) text = text.replaceAll('+', '-').replaceAll('/', '_');
        return values.includes('no_padding', 1) ? text.replace(/={1,2}$/, '') : text;
      }),
  },
  {
    ...scalarFunction('base64_decode', [1, 3], () => ''),
    pure: false,
    prepare: (constants) =>
      checkOptions(constants) ??
      ((values, environment) => {
        const text = textOf(values[0] as Value);
        if (text instanceof Failure) return text;
        const wrong = checkOptions(values);
        if (wrong !== undefined) return wrong;
        const standard = toStandardBase64(text, values.includes('no_padding', 1), values.includes('urlsafe', 1));
        return standard instanceof Failure ? standard : environment.base64Decode(standard);
      }),
  },
  {
    ...scalarFunction('json_value', [2, 2], ([value, names]) => {
      const path = textOf(names as Value);
      if (path instanceof Failure) return path;
      // A payload is looked at as it came.
      const json = value instanceof Uint8Array ? value : textOf(value as Value);
      return json instanceof Failure ? json : readJsonPath(json, path);
    }),
    result: 'unknown',
  },
  {
    ...scalarFunction('jwt_value', [2, 2], () => ''),
    result: 'unknown',
    pure: false,
    // Read, not verified: whoever presents the token has been authenticated before, or has not.
    prepare: () => (values, environment) => {
      const token = textOf(values[0] as Value);
      if (token instanceof Failure) return token;
      const path = textOf(values[1] as Value);
      if (path instanceof Failure) return path;
      const parts = token.split('.', 4);
      if (parts.length !== 3) return NOT_A_TOKEN;
      const standard = toStandardBase64(parts[1] as string, true, true);
      if (standard instanceof Failure) return NOT_A_TOKEN;
      const claims = textOf(environment.base64Decode(standard));
      return claims instanceof Failure ? NOT_A_TOKEN : readJsonPath(claims, path);
    },
  },
];

function checkOptions(values: readonly (Value | undefined)[]): Failure | undefined {
  for (let i = 1; i < values.length; i++) {
    const option = choice(values[i], BASE64_OPTIONS, 'padding');
    if (option instanceof Failure) return option;
  }
  return undefined;
}

/** Strict: decoders that skip what they do not know would put different texts under one key. */
function toStandardBase64(text: string, unpadded: boolean, urlSafe: boolean): string | Failure {
  const standard = urlSafe ? text.replaceAll('-', '+').replaceAll('_', '/') : text;
  const padded = unpadded ? standard.replace(/={1,2}$/, '') : standard;
  const whole = unpadded ? padded.padEnd(Math.ceil(padded.length / 4) * 4, '=') : padded;
  const valid = whole.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(whole);
  return valid ? whole : NOT_BASE64;
}
