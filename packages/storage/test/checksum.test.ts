import { describe, expect, test } from '@jest/globals';
import { crc32c } from '@sluice/common/bytes/crc32c';
import { checksum } from '@sluice/storage/checksum';

describe('checksum', () => {
  test('native and portable sums are one, continued or not', () => {
    expect(checksum(Buffer.from('123456789'))).toBe(0xe3069283);
    for (const size of [0, 1, 199, 200, 201, 1000, 5000]) {
      const bytes = Buffer.from([...Array(size).keys()].map((i) => (i * 31) & 0xff));
      expect(checksum(bytes)).toBe(crc32c(bytes));
      expect(checksum(bytes.subarray(70), checksum(bytes.subarray(0, 70)))).toBe(crc32c(bytes));
    }
  });
});
