import { describe, expect, test } from '@jest/globals';
import type { RowAccess } from '@sluice/multiraft/group-machine';
import { encodeCommand } from '@sluice/queue/machine/command-codec';
import { stampCommand } from '@sluice/queue/machine/command-header';
import { PartitionMachine, RESIDENT_RANGES } from '../src/machine/partition-machine.ts';

/** Rows of one partition, in memory. */
class Table implements RowAccess {
  readonly rows = new Map<string, Uint8Array>();
  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(Buffer.from(key).toString('latin1'));
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.rows.set(Buffer.from(key).toString('latin1'), value);
  }
  delete(key: Uint8Array): void {
    this.rows.delete(Buffer.from(key).toString('latin1'));
  }
  all(): { key: Uint8Array; value: Uint8Array }[] {
    return [...this.rows].map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value }));
  }
}

const CONFIGURE = encodeCommand({
  type: 'configure-queue',
  config: {
    queueId: 7,
    version: 1,
    name: 'jobs',
    isLastValue: false,
    countMax: null,
    bytesMax: null,
    overflow: 'refuse',
  },
});

describe('the machine of a partition', () => {
  test('is found again in the rows it wrote, whatever stands between them', () => {
    const machine = PartitionMachine.restore([]);
    const rows = new Table();
    const command = CONFIGURE.slice();
    stampCommand(command, 5000);
    expect(machine.apply(1, command, rows, [])).toEqual({ type: 'configured', changed: true });
    machine.flush(rows);
    rows.put(Uint8Array.of(0xfd, 1), Uint8Array.of(1));
    const again = PartitionMachine.restore(rows.all());
    expect([again.queues.queue(7)?.name, again.queues.nowMs]).toEqual(['jobs', 5000]);
  });

  test('stops at a command that belongs to no tenant', () => {
    const command = CONFIGURE.slice();
    command[0] = 200;
    expect(() => PartitionMachine.restore([]).apply(1, command, new Table(), [])).toThrow(
      expect.objectContaining({ code: 'COMMAND_UNKNOWN' }),
    );
  });

  test('reads no row twice: the ranges of its tenants do not meet', () => {
    const ranges = [...RESIDENT_RANGES].sort((a, b) => Buffer.compare(a.from, b.from));
    for (let i = 1; i < ranges.length; i++) {
      expect(Buffer.compare(ranges[i - 1]?.to as Uint8Array, ranges[i]?.from as Uint8Array)).toBeLessThanOrEqual(0);
    }
    expect(ranges.length).toBeGreaterThan(0);
  });
});
