import { COMPARISON_FUNCTIONS } from './comparison-functions.ts';
import { ENCODING_FUNCTIONS } from './encoding-functions.ts';
import { ENVIRONMENT_FUNCTIONS } from './environment-functions.ts';
import { FORMAT_FUNCTIONS } from './format-functions.ts';
import type { KeyFunction } from './key-function.ts';
import { LIST_FUNCTIONS } from './list-functions.ts';
import { REGEX_FUNCTIONS } from './regex-functions.ts';
import { TEXT_FUNCTIONS } from './text-functions.ts';

/** Every function by name, but for `coalesce`, `iif` and `is_empty`, which the compiler knows itself. */
export const FUNCTIONS: ReadonlyMap<string, KeyFunction> = new Map(
  [
    TEXT_FUNCTIONS,
    LIST_FUNCTIONS,
    FORMAT_FUNCTIONS,
    REGEX_FUNCTIONS,
    ENCODING_FUNCTIONS,
    COMPARISON_FUNCTIONS,
    ENVIRONMENT_FUNCTIONS,
  ]
    .flat()
    .map((known): [string, KeyFunction] => [known.name, known]),
);
