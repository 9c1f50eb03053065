import { beforeEach, describe, expect, it } from '@jest/globals';
import { createFixture, listen } from '../../api/test/api-fixture.ts';
import { MemoryClusterManagement } from '../../api/test/memory-cluster-management.ts';
import { registerClusterCommands } from '../src/cluster-commands.ts';
import { type Ran, runCommand } from './run-command.ts';

let cluster: MemoryClusterManagement;
let url: string;

beforeEach(async () => {
  cluster = new MemoryClusterManagement();
  const { api } = createFixture({ cluster });
  url = `http://127.0.0.1:${await listen(api)}`;
});

function sluice(line: string): Promise<Ran> {
  return runCommand(registerClusterCommands, ['cluster', ...line.split(' ')], { env: { SLUICE_URL: url } });
}

describe('sluice cluster', () => {
  it('shows nodes and who leads', async () => {
    const { out, code } = await sluice('status');
    expect(code).toBe(0);
    expect(out).toContain('Partitions:  1, all led');
    expect(out).toMatch(/^Metadata: +led by n1$/m);
    expect(out).toMatch(/^NODE +ID +ROLES/m);
    expect(out).toMatch(/^n1 +1 +gateway,store,coordinator .* active +1 +1 +10\.0\.0\.1:5370 +1\.2\.3$/m);
  });

  it('names what is not heard of, and what nobody leads', async () => {
    cluster.nodes = cluster.nodes.map((node) => (node.name === 'n3' ? { ...node, alive: false } : node));
    const { out } = await sluice('status');
    expect(out).toMatch(/^n3 .*active, not heard of/m);
    cluster.coordinator = null;
    expect((await sluice('status')).out).toMatch(/^Metadata: +no coordinator answers$/m);
  });

  it('drains, takes back and decommissions', async () => {
    expect((await sluice('drain n2')).out).toBe('n2 is draining\n');
    expect((await sluice('undrain n2')).out).toBe('n2 is active\n');
    expect((await sluice('leave n2')).out).toBe('n2 is leaving\n');
    expect(cluster.nodes[1]?.state).toBe('leaving');
  });

  it('changes the number of copies, and says why it cannot', async () => {
    expect((await sluice('replicas 2')).out).toBe('Partitions go to 2 copies each\n');
    const refused = await sluice('replicas 5');
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('5 copies need as many stores')]);
    expect((await sluice('drain n9')).code).toBe(3);
  });

  it('prints JSON for programs', async () => {
    expect(JSON.parse((await sluice('status --json')).out).nodes).toHaveLength(3);
  });
});
