import { describe, expect, test } from '@jest/globals';
import type { RowAccess } from '@sluice/multiraft/group-machine';
import { encodeCommand } from '@sluice/queue/machine/command/command-codec';
import { stampCommand } from '@sluice/queue/machine/command/command-header';
import { decodeMachineRow } from '@sluice/queue/machine/row/machine-row';
import { machineRowKey } from '@sluice/queue/machine/row/row-keys';
import { encodeSessionCommand } from '@sluice/queue/session/command-codec';
import type { SessionCommand } from '@sluice/queue/session/commands';
import { type PartitionEffect, PartitionMachine, RESIDENT_RANGES } from '../../src/machine/partition-machine.ts';

/** Rows of one partition, in memory. */
class Table implements RowAccess {
  readonly rows = new Map<string, Uint8Array>();
  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(Buffer.from(key).toString('latin1'));
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.rows.set(Buffer.from(key).toString('latin1'), value);
  }
  create(key: Uint8Array, value: Uint8Array): void {
    expect(this.rows.has(Buffer.from(key).toString('latin1'))).toBe(false);
    this.put(key, value);
  }
  save(key: Uint8Array, value: Uint8Array | undefined): void {
    if (value === undefined) this.delete(key);
    else this.put(key, value);
  }
  delete(key: Uint8Array): void {
    this.rows.delete(Buffer.from(key).toString('latin1'));
  }
  end(key: Uint8Array): void {
    this.delete(key);
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

describe('the epoch of a removal', () => {
  const remove = (epoch?: number): Uint8Array => {
    const bytes = encodeCommand({ type: 'remove-queue', queueId: 7, ...(epoch === undefined ? {} : { epoch }) });
    stampCommand(bytes, 5000);
    return bytes;
  };

  test('is in the rows with everything else, the highest of all, whether or not the queue was there', () => {
    const machine = PartitionMachine.restore([]);
    const rows = new Table();
    const restored = (): [number, number] => {
      machine.flush(rows);
      const { version } = decodeMachineRow(rows.get(machineRowKey()) as Uint8Array);
      return [version, PartitionMachine.restore(rows.all()).queues.removalEpoch];
    };
    machine.apply(1, CONFIGURE, rows, []);
    machine.apply(2, remove(), rows, []);
    expect(restored()).toEqual([8, 0]);
    // At the same time, which does not move the row by itself.
    machine.apply(3, remove(40), rows, []);
    expect(restored()).toEqual([10, 40]);
    machine.apply(4, remove(39), rows, []);
    expect(restored()).toEqual([10, 40]);
    machine.apply(5, remove(), rows, []);
    machine.apply(6, remove(41), rows, []);
    expect(restored()).toEqual([10, 41]);
  });
});

describe('sessions of a partition', () => {
  const at = (command: SessionCommand, stampMs: number): Uint8Array => {
    const bytes = encodeSessionCommand(command);
    stampCommand(bytes, stampMs);
    return bytes;
  };

  test('need a newer build from the first command on that a former one does not know, and not before', () => {
    const machine = PartitionMachine.restore([]);
    const rows = new Table();
    const version = (): number => {
      machine.flush(rows);
      return decodeMachineRow(rows.get(machineRowKey()) as Uint8Array).version;
    };
    const expire = { type: 'expire-sessions', clientIds: ['c'] } as const;
    machine.apply(1, at(expire, 7000), rows, []);
    machine.apply(
      2,
      at({ type: 'close-session', clientId: 'c', epoch: 1, expiryS: 0, leavesUnsure: true }, 7000),
      rows,
      [],
    );
    expect(version()).toBe(8);
    // At the same time, which does not move the row by itself.
    machine.apply(3, at({ ...expire, endsInPortions: true }, 7000), rows, []);
    expect(version()).toBe(9);
    const again = PartitionMachine.restore(rows.all());
    again.apply(4, at(expire, 8000), rows, []);
    again.flush(rows);
    expect(version()).toBe(9);
  });

  test('begin and end their streams among its queues, and move its time', () => {
    const machine = PartitionMachine.restore([]);
    const rows = new Table();
    const open = { clientId: 'c', identity: '', gateway: 1, cleanStart: false, expiryS: 60 };
    const opened = machine.apply(1, at({ type: 'open-session', ...open }, 7000), rows, []);
    const epoch = opened.type === 'session-opened' ? opened.epoch : 0;
    const subscriptions = [{ filter: 'a/#', options: 1, subscriptionId: 0, isStored: true }];
    const limits = { countMax: 10, bytesMax: null };
    const effects: PartitionEffect[] = [];
    const subscribe = at({ type: 'subscribe-session', clientId: 'c', epoch, ...limits, subscriptions }, 7001);
    const subscribed = machine.apply(2, subscribe, rows, effects);
    const streamId = subscribed.type === 'session-subscribed' ? (subscribed.streamIds[0] as number) : 0;
    machine.flush(rows);
    expect(effects).toEqual([{ type: 'stream-added', streamId, filter: 'a/#' }]);
    const again = PartitionMachine.restore(rows.all());
    expect(again.queues.queue(streamId)).toMatchObject({ name: 'a/#', countMax: 10, overflow: 'drop_oldest', tail: 0 });
    expect([again.queues.nowMs, again.sessions.connected('c')]).toEqual([7001, { epoch, gateway: 1 }]);
    effects.length = 0;
    again.apply(3, at({ type: 'close-session', clientId: 'c', epoch, expiryS: 0 }, 7002), rows, effects);
    again.flush(rows);
    expect(effects.map(({ type }) => type)).toEqual(['queue-removed', 'stream-removed']);
    expect(again.queues.queue(streamId)).toBeUndefined();
    expect(
      rows
        .all()
        .map(({ key }) => String.fromCharCode(key[0] as number))
        .sort(),
    ).toEqual(['M', 'N']);
  });
});
