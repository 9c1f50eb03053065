import { expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { TooManyLog } from '../../src/listener/too-many-log.ts';

test('one line for each reason, and then one every while with how many came between', () => {
  const lines: object[] = [];
  const log = new TooManyLog({ ...silentLogger, warn: (bindings: object) => void lines.push(bindings) });
  for (let i = 0; i < 1_000; i++) log.note('rate', `10.0.0.${i % 256}`, i);
  log.note('address', '10.0.0.7', 1_000);
  log.note('rate', '10.0.0.8', TooManyLog.REPEAT_MS);
  log.note('rate', '10.0.0.9', 2 * TooManyLog.REPEAT_MS);
  expect(lines).toMatchObject([
    { peer: '10.0.0.0', others: 0, hint: expect.stringContaining('mqtt.connectRate') },
    { peer: '10.0.0.7', others: 0, hint: expect.stringContaining('mqtt.connectionsPerAddress') },
    { peer: '10.0.0.8', others: 999 },
    { peer: '10.0.0.9', others: 0 },
  ]);
});
