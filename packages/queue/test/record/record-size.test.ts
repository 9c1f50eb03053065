import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.ts';
import { isRecordLarger } from '../../src/record/record-size.ts';
import { arbitraryRecord } from './record-arbitrary.ts';

test('what a record would be larger than is known without encoding it, to the byte', () => {
  fc.assert(
    fc.property(arbitraryRecord, (record) => {
      const builder = new RecordBatchBuilder();
      const before = builder.sizeBytes;
      builder.add(record);
      const bytes = builder.sizeBytes - before;
      expect(isRecordLarger(record, bytes)).toBe(false);
      expect(isRecordLarger(record, bytes - 1)).toBe(true);
    }),
  );
});
