import { isIP } from 'node:net';
import { expect, test } from '@jest/globals';
import { addressOf } from '@sluice/common/ip-address';
import fc from 'fast-check';

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::FFFF:0a00:0001', '10.0.0.1'],
  ['0:0:0:0:0:ffff:0a00:1', '10.0.0.1'],
  ['::ffff:10.0.0.1%eth0', '10.0.0.1'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['fe80:0::1%eth0', 'fe80::1%eth0'],
  ['::', '::'],
])('%s is %s', (written, address) => {
  expect(addressOf(written)).toBe(address);
  expect(addressOf(address)).toBe(address);
});

test.each([
  '',
  'localhost',
  '10.0.0',
  '10.0.0.1.',
  '10.0.0.256',
  '010.0.0.1',
  '10.0.0.0/8',
  '2001:db8::/32',
  '[::1]',
  '1::2::3',
  '::1%',
  '::1]:80/[',
])('"%s" is none', (text) => {
  expect(addressOf(text)).toBeUndefined();
});

test('what is one, and what is not, is as the system says', () => {
  const group = fc.integer({ min: 0, max: 0x1_0000 }).map((value) => value.toString(16));
  const ipv4 = fc
    .array(fc.integer({ min: 0, max: 260 }), { minLength: 3, maxLength: 5 })
    .map((parts) => parts.join('.'));
  const ipv6 = fc.array(fc.oneof(group, fc.constant(''), ipv4), { maxLength: 9 }).map((parts) => parts.join(':'));
  fc.assert(
    fc.property(fc.oneof(ipv4, ipv6, fc.string(), fc.ipV4(), fc.ipV6()), (text) => {
      expect(addressOf(text) !== undefined).toBe(isIP(text) !== 0);
    }),
    { numRuns: 2_000 },
  );
});

test('however it is written, its text is the same', () => {
  const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(groups, fc.boolean(), fc.boolean(), (numbers, isPadded, isLarge) => {
      const plain = numbers.map((value) => value.toString(16)).join(':');
      const padded = numbers.map((value) => value.toString(16).padStart(isPadded ? 4 : 1, '0')).join(':');
      expect(addressOf(isLarge ? padded.toUpperCase() : padded)).toBe(addressOf(plain));
    }),
  );
});
