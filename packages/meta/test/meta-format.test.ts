import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { decodeMetaCommand, encodeMetaCommand, type MetaCommand } from '../src/meta-commands.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';

/** One of each kind. The golden file holds what version 1 wrote: it must be read for ever, and written the same. */
const COMMANDS: readonly MetaCommand[] = [
  { kind: 'form-cluster', clusterId: 'c1', partitionCount: 16, queueCountMax: 10_000 },
  {
    kind: 'define-queue',
    queue: {
      ...QUEUE_SETTING_DEFAULTS,
      name: 'jobs',
      topicFilter: 'jobs/#',
      isLastValue: true,
      keyExpression: 'message.from',
      partitionCount: 1,
    },
  },
  {
    kind: 'update-queue',
    queueId: 7,
    expectedVersion: 3,
    queue: {
      ...QUEUE_SETTING_DEFAULTS,
      name: 'jobs',
      topicFilter: 'jobs/#',
      isLastValue: false,
      keyExpression: null,
      partitionCount: 1,
      limits: { countMax: 5, bytesMax: null, overflow: 'drop_oldest' },
    },
  },
  { kind: 'remove-queue', queueId: 7 },
  { kind: 'set-config', config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG },
];

const golden = readFileSync(join(import.meta.dirname, 'testdata/commands-v1.txt'), 'utf8')
  .trimEnd()
  .split('\n');

describe('the format of metadata entries', () => {
  test.each(COMMANDS.map((command, i) => [command.kind, command, golden[i]] as const))('%s', (_, command, line) => {
    expect(Buffer.from(encodeMetaCommand(command, 1_700_000_000_123)).toString('latin1')).toBe(
      Buffer.from(line ?? '', 'hex').toString('latin1'),
    );
    expect(decodeMetaCommand(Buffer.from(line ?? '', 'hex'))).toEqual({ command, stampMs: 1_700_000_000_123 });
  });
});
