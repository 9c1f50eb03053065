import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { lockDirectory, pidOfDeadOwner } from '@sluice/storage/entry-log/directory-lock';
import { openTestLog } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

/** A living process, and the lock file it would have. */
async function bystander(): Promise<{ child: ChildProcess; pid: number; lockFile: () => Promise<string> }> {
  const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000)']);
  await once(child.stdout, 'data');
  const pid = child.pid ?? 0;
  return {
    child,
    pid,
    async lockFile() {
      const { readFile } = await import('node:fs/promises');
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
      const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).slice(0, 8);
      return `LOCK-${pid}-${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}-${boot}`;
    },
  };
}

describe('directory lock', () => {
  test('a second open in the same process is refused, and after a close allowed', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory);
    await expect(openTestLog(directory)).rejects.toThrow(`process ${process.pid} already uses ${directory}`);
    await log.close();
    const { log: reopened } = await openTestLog(directory);
    await reopened.close();
    expect((await readdir(directory)).filter((name) => name.startsWith('LOCK'))).toEqual([]);
  });

  test('a directory that cannot be written is told with what to do', async () => {
    const missing = join(await temporaryDirectory(), 'missing');
    await expect(lockDirectory(missing)).rejects.toMatchObject({
      code: 'DATA_DIRECTORY',
      message: expect.stringContaining(missing),
      hint: expect.stringContaining('--data'),
    });
  });

  test('another living process is named; when it is dead its lock is taken over', async () => {
    const directory = await temporaryDirectory();
    const { child, pid, lockFile } = await bystander();
    const name = await lockFile();
    await writeFile(join(directory, name), '');
    await expect(lockDirectory(directory)).rejects.toMatchObject({
      code: 'DIRECTORY_LOCKED',
      message: `process ${pid} already uses ${directory}`,
    });
    expect(await pidOfDeadOwner(directory)).toBeUndefined();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await pidOfDeadOwner(directory)).toBe(pid);
    const lock = await lockDirectory(directory);
    expect(await readdir(directory)).not.toContain(name);
    expect(await pidOfDeadOwner(directory)).toBeUndefined();
    await lock.release();
    expect(await pidOfDeadOwner(join(directory, 'never made'))).toBeUndefined();
  });

  test('a living process that only has the pid of the dead owner does not count', async () => {
    const directory = await temporaryDirectory();
    const { child, lockFile } = await bystander();
    await writeFile(join(directory, (await lockFile()).replace(/-\d+-/, '-1-')), '');
    await writeFile(join(directory, (await lockFile()).replace(/-[0-9a-f]+$/, '-00000000')), '');
    const lock = await lockDirectory(directory);
    await lock.release();
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});
