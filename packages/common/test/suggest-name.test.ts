import { expect, it } from '@jest/globals';
import { suggestName } from '../src/suggest-name.ts';

const KNOWN = ['dataDirectory', 'is_lastvalue', 'data_retention_period', 'limits', 'mqtt', 'mqtts', 'ws'];

it.each([
  ['data-directory', 'dataDirectory'],
  ['is_lsatvalue', 'is_lastvalue'],
  ['isLastValue', 'is_lastvalue'],
  ['limit', 'limits'],
  ['retention', 'data_retention_period'],
  ['mqt', 'mqtt'],
  ['zebra', undefined],
  ['', undefined],
  ['x'.repeat(1_000_000), undefined],
])('for %.20j suggests %j', (name, suggestion) => {
  expect(suggestName(name, KNOWN)).toBe(suggestion);
});
