import { describe, expect, it } from '@jest/globals';
import { createFixture } from '../api-fixture.ts';
import { MemoryBackupManagement } from '../memory-backup-management.ts';

const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` });

describe('a backup over REST', () => {
  it('says what there is, and gives each part as bytes', async () => {
    const backup = new MemoryBackupManagement();
    const { call } = createFixture({ backup });
    expect((await call('GET', '/api/v5/backup')).body).toMatchObject({ cluster: 'c-1', partitions: 2 });
    const partition = await call('GET', '/api/v5/backup/partitions/1');
    expect([partition.status, partition.text]).toEqual([200, 'group 1, all of it']);
    expect(partition.headers['content-type']).toBe('application/octet-stream');
    expect((await call('GET', '/api/v5/backup/metadata')).text).toBe('group 0, all of it');
    expect(backup.asked).toEqual([1, 0]);
    expect(backup.closed).toBe(2);
  });

  it('refuses what is not there, and says who is in the way', async () => {
    const { call } = createFixture({ backup: new MemoryBackupManagement() });
    for (const partition of ['3', '0', '-1', 'x', '99999999']) {
      expect(await call('GET', `/api/v5/backup/partitions/${partition}`)).toMatchObject({
        status: 404,
        body: { message: expect.stringMatching(`^There is no partition "?${partition}"?$`) },
      });
    }
    const busy = await call('GET', '/api/v5/backup/partitions/2');
    expect([busy.status, busy.body.message]).toEqual([503, expect.stringContaining('another backup')]);
  });

  it('breaks the answer off when its source breaks: half a part must not pass for one', async () => {
    const backup = new MemoryBackupManagement();
    backup.breaks = true;
    const { call } = createFixture({ backup });
    await expect(call('GET', '/api/v5/backup/partitions/1')).rejects.toThrow();
  });

  it('is for administrators, whose scopes name it if they have any', async () => {
    const keys = [
      { key: 'all', secret: 's', role: 'administrator', scopes: null },
      { key: 'named', secret: 's', role: 'administrator', scopes: ['backup'] },
      { key: 'queues', secret: 's', role: 'administrator', scopes: ['connections'] },
      { key: 'looks', secret: 's', role: 'viewer', scopes: null },
    ] as const;
    const { call } = createFixture({ backup: new MemoryBackupManagement(), keys: [...keys], anonymous: false });
    for (const path of ['/api/v5/backup', '/api/v5/backup/metadata', '/api/v5/backup/partitions/1']) {
      const statuses: number[] = [];
      for (const { key } of keys) statuses.push((await call('GET', path, undefined, basic(`${key}:s`))).status);
      statuses.push((await call('GET', path)).status);
      expect(statuses).toEqual([200, 200, 403, 403, 401]);
    }
  });
});
