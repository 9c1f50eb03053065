import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import { loadConfig } from '../../src/config/load-config.ts';
import { CONFIG_SCHEMA } from '../../src/config/schema.ts';

const { min, max } = CONFIG_SCHEMA.storage.segmentSize.rule;

it.each([min, max])('a log opens whose segments have %i bytes, which is as far as the setting goes', async (bytes) => {
  const loaded = loadConfig({
    flags: { set: [`storage.segmentSize=${bytes}`, 'mqtt.maximumPacketSize=256KB'] },
    env: {},
    readFile: () => '',
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const { segmentBytes } = loaded.config.storage;
  const directory = await mkdtemp(join(tmpdir(), 'sluice-segments-'));
  try {
    const log = await openEntryLog({ directory, segmentBytes, logger: silentLogger, metrics: new PlainMetrics() });
    expect(segmentBytes).toBe(bytes);
    await log.close();
  } finally {
    await rm(directory, { recursive: true });
  }
});
