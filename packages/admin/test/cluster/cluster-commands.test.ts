import { beforeEach, describe, expect, it } from '@jest/globals';
import { createFixture, listen } from '../../../api/test/api-fixture.ts';
import { MemoryClusterManagement } from '../../../api/test/memory-cluster-management.ts';
import { MemoryConnectionBalance } from '../../../api/test/memory-connection-balance.ts';
import { registerClusterCommands } from '../../src/cluster/cluster-commands.ts';
import { type Ran, type RunOptions, runCommand } from '../run-command.ts';

let cluster: MemoryClusterManagement;
let connections: MemoryConnectionBalance;
let url: string;

beforeEach(async () => {
  cluster = new MemoryClusterManagement();
  connections = new MemoryConnectionBalance();
  const { api } = createFixture({ cluster, connections });
  url = `http://127.0.0.1:${await listen(api)}`;
});

function sluice(line: string, options: RunOptions = {}): Promise<Ran> {
  return runCommand(registerClusterCommands, ['cluster', ...line.split(' ')], {
    env: { SLUICE_URL: url },
    ...options,
  });
}

describe('sluice cluster', () => {
  it('shows nodes and who leads, within eighty columns', async () => {
    const { out, code } = await sluice('status');
    expect(code).toBe(0);
    expect(out).toBe(`Cluster:        c
Epoch:          7
Copies:         3
Feature level:  2
Metadata:       led by n1
Partitions:     1, all led
Version:        1.2.3

NODE  ID  ROLES  STATE   LEADS  COPIES  ADDRESS
n1     1  all    active      1       1  10.0.0.1:5370
n2     2  all    active      0       1  10.0.0.2:5370
n3     3  all    active      0       1  10.0.0.3:5370

All is well.
`);
  });

  it('shows what each node supports while they are of several builds, and holds the level', async () => {
    cluster.nodes = cluster.nodes.map((node, i) => ({
      ...node,
      featureLevels: [{ min: 1, max: 3 }, { min: 2, max: 2 }, null][i] as (typeof node)['featureLevels'],
    }));
    expect((await sluice('hold')).out).toBe('The feature level is 2, held\n');
    const { out } = await sluice('status');
    expect(out).toContain('Feature level:  2, held\n');
    expect(out).toMatch(/^n1 .* 1-3 .*\nn2 .* 2 .*\nn3 .* \? /m);
    expect((await sluice('release')).out).toBe('The feature level is 2\n');
  });

  it('says in words what is wrong and what to do, and fails so that a script stops', async () => {
    cluster.nodes = cluster.nodes.map((node) => (node.name === 'n3' ? { ...node, alive: false } : node));
    cluster.coordinator = null;
    cluster.problems = [
      {
        severity: 'failing',
        message: `n3 is not heard of: ${'so many copies are away '.repeat(3)}`.trim(),
        hint: 'Start it.',
      },
      { severity: 'notice', message: 'There are 2 coordinators.', hint: 'Have 3.' },
    ];
    const { out, code } = await sluice('status');
    expect(code).toBe(6);
    expect(out).toContain('Metadata:       NO COORDINATOR ANSWERS\n');
    expect(out).toMatch(/^n3 +3 +all +NOT HEARD OF /m);
    expect(out).toMatch(
      /\nFAILING {3}n3 is not heard of: so many copies are away so many copies are away so\n {10}many copies are away\n {10}Start it.\nNOTICE {4}There are 2 coordinators.\n {10}Have 3.\n$/,
    );
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    cluster.problems = cluster.problems.slice(1);
    const noticed = await sluice('status');
    expect([noticed.code, noticed.out.endsWith('Have 3.\nAll is well.\n')]).toEqual([0, true]);
  });

  it('waits until all is well, and no longer than it was told', async () => {
    const degraded = [{ severity: 'degraded' as const, message: 'n2 is catching up.', hint: 'Wait.' }];
    cluster.problems = degraded;
    let looks = 0;
    const mended = await sluice('status --wait 30s', {
      pausing: () => {
        if (++looks === 3) cluster.problems = [];
      },
    });
    expect([mended.code, looks]).toEqual([0, 3]);
    expect(mended.out).toContain('All is well.');
    cluster.problems = degraded;
    looks = 0;
    const stayed = await sluice('status --wait 2s', { pausing: () => void looks++ });
    expect([stayed.code, looks]).toEqual([6, 4]);
    expect(stayed.out).toContain('n2 is catching up.');
    expect((await sluice('status --wait 2')).err).toContain('has no unit');
  });

  it('waits for a server that is not there yet', async () => {
    const env = { SLUICE_URL: 'http://127.0.0.1:9' };
    expect((await sluice('status', { env })).code).toBe(5);
    let pauses = 0;
    expect((await sluice('status --wait 1s', { env, pausing: () => void pauses++ })).code).toBe(5);
    expect(pauses).toBe(2);
  });

  it('tells a node that drains, racks and versions where they differ', async () => {
    cluster.nodes = cluster.nodes.map((node, i) => ({
      ...node,
      rack: `r${i}`,
      version: `1.2.${i}`,
      roles: ['store'],
      state: i === 1 ? 'draining' : 'active',
    }));
    expect((await sluice('status')).out).toMatch(/^n2 +2 +store +r1 +draining +0 +1 +10\.0\.0\.2:5370 +1\.2\.1$/m);
  });

  it('drains, takes back and decommissions', async () => {
    expect((await sluice('drain n2')).out).toBe('n2 is draining\n');
    expect((await sluice('undrain n2')).out).toBe('n2 is active\n');
    for (const verb of ['leave', 'decommission']) {
      expect((await sluice(`${verb} n2`)).out).toBe('n2 is leaving\n');
      expect(cluster.nodes[1]?.state).toBe('leaving');
      await sluice('undrain n2');
    }
  });

  it('changes the number of copies, and says why it cannot', async () => {
    expect((await sluice('replicas 2')).out).toBe('Partitions go to 2 copies each\n');
    expect((await sluice('replicas 1')).out).toBe('Partitions go to 1 copy each\n');
    const refused = await sluice('replicas 5');
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('5 copies need as many stores')]);
    // In the words of the command line, not of the call.
    expect(await sluice('replicas three')).toMatchObject({
      code: 2,
      err: expect.stringContaining('COUNT must be a whole number, not "three"'),
    });
    expect((await sluice('drain n9')).code).toBe(3);
  });

  it('prints JSON for programs', async () => {
    for (const flags of ['--json', '--output json'])
      expect(JSON.parse((await sluice(`status ${flags}`)).out)).toMatchObject({ problems: [], coordinator: 'n1' });
    expect((await sluice('status --output yaml')).code).toBe(2);
  });
});

describe('sluice cluster rebalance', () => {
  it('starts, shows how far it is, and ends', async () => {
    const started = await sluice('rebalance --rate 20 --threshold 130');
    expect(started.code).toBe(0);
    expect(connections.wish).toEqual({ threshold: 1.3, perSecond: 20 });
    expect(started.out).toBe(
      [
        'GATEWAY  CONNECTIONS  TARGET  SENT AWAY',
        'n1               900     500          0',
        'n2               100       -          0',
        '',
        'Connections are on their way, 500 in the mean: look again with --status, end it with --stop.',
        '',
      ].join('\n'),
    );
    expect((await sluice('rebalance --status')).out).toBe(started.out);
    expect((await sluice('rebalance --stop')).out).toContain('Nothing is under way, 500 in the mean.');
    expect((await sluice('rebalance --status --stop')).code).toBe(2);
    expect((await sluice('rebalance --rate many')).code).toBe(1);
  });

  it('waits until it is done', async () => {
    const { out, code } = await sluice('rebalance --wait 10s', {
      pausing: async () => void (await connections.stop()),
    });
    expect([code, out]).toEqual([0, expect.stringContaining('Nothing is under way')]);
  });

  it('says by its exit code that it is not done when the time is over', async () => {
    const { out, code } = await sluice('rebalance --wait 10s');
    expect([code, out]).toEqual([6, expect.stringContaining('Connections are on their way')]);
    expect((await sluice('rebalance --stop')).code).toBe(0);
  });

  it('starts nothing when it cannot know how long to wait', async () => {
    const { wish } = connections;
    expect((await sluice('rebalance --wait long')).code).toBe(2);
    expect(connections.wish).toBe(wish);
  });
});
