import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SimDisk } from '../src/sim-disk.ts';
import { SimWorld } from '../src/sim-world.ts';
import { driven } from '../src/simulation.ts';
import { enterWorld } from '../src/virtual-globals.ts';

const KNOBS = { callMs: 0.1, bytesPerMs: 100_000, syncMsMin: 1, syncMsMax: 1 };

describe('a simulated disk', () => {
  let world: SimWorld;
  let leave: () => void;

  beforeEach(() => {
    world = new SimWorld(7);
    leave = enterWorld(world);
  });
  afterEach(() => leave());

  const text = (value: string) => Buffer.from(value);

  async function write(disk: SimDisk, path: string, value: string, steps: { sync: boolean; name: boolean }) {
    const files = disk.operations(world.outside);
    await driven(world, files.makeDirectory('/d'), 1_000);
    const fd = await driven(world, files.open(path, 'replace'), 1_000);
    await driven(world, files.writev(fd, [text(value)], 0), 1_000);
    if (steps.sync) await driven(world, files.datasync(fd), 1_000);
    if (steps.name) await driven(world, files.syncDirectory('/d'), 1_000);
  }

  async function read(disk: SimDisk, path: string): Promise<string | undefined> {
    const files = disk.operations(world.outside);
    if (!disk.paths().includes(path)) return undefined;
    const fd = await driven(world, files.open(path, 'read'), 1_000);
    const into = Buffer.alloc(await driven(world, files.sizeBytes(fd), 1_000));
    await driven(world, files.read(fd, into, 0), 1_000);
    return into.toString();
  }

  test('keeps what was synced, name and bytes', async () => {
    for (let i = 0; i < 20; i++) {
      const disk = new SimDisk(world, 'disk', KNOBS);
      await write(disk, '/d/a', 'whole', { sync: true, name: true });
      disk.powerLost();
      expect(await read(disk, '/d/a')).toBe('whole');
    }
  });

  test('may lose a name that was not synced, and bytes that were not', async () => {
    const found = new Set<string>();
    for (let i = 0; i < 60; i++) {
      const nameless = new SimDisk(world, 'disk', KNOBS);
      await write(nameless, '/d/a', 'whole', { sync: true, name: false });
      nameless.powerLost();
      found.add(`name ${await read(nameless, '/d/a')}`);
      const unsynced = new SimDisk(world, 'disk', KNOBS);
      await write(unsynced, '/d/a', 'x'.repeat(2_000), { sync: false, name: true });
      unsynced.powerLost();
      const bytes = (await read(unsynced, '/d/a')) as string;
      found.add(bytes === '' ? 'lost' : bytes === 'x'.repeat(2_000) ? 'kept' : 'torn');
    }
    expect([...found].sort()).toEqual(['kept', 'lost', 'name undefined', 'name whole', 'torn']);
  });

  test('a killed process loses nothing', async () => {
    const disk = new SimDisk(world, 'disk', KNOBS);
    await write(disk, '/d/a', 'whole', { sync: false, name: false });
    disk.processEnded();
    expect(await read(disk, '/d/a')).toBe('whole');
  });

  test('is full, fails a sync, and never answers a process that is gone', async () => {
    const disk = new SimDisk(world, 'disk', KNOBS);
    const files = disk.operations(world.outside);
    await driven(world, files.makeDirectory('/d'), 1_000);
    const fd = await driven(world, files.open('/d/a', 'replace'), 1_000);
    disk.capacityBytes = 3;
    expect(await driven(world, files.writev(fd, [text('whole')], 0), 1_000)).toBe(3);
    await expect(driven(world, files.writev(fd, [text('more')], 3), 1_000)).rejects.toMatchObject({ code: 'ENOSPC' });
    disk.failNext = 'sync';
    await expect(driven(world, files.datasync(fd), 1_000)).rejects.toMatchObject({ code: 'EIO' });
    const life = world.life('process');
    const asked = disk.operations(life).sizeBytes(fd);
    life.end();
    await expect(driven(world, asked, 1_000)).rejects.toThrow('nothing came of it');
  });
});
