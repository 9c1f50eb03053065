import { describe, expect, it } from '@jest/globals';
import { createFixture } from '../api-fixture.ts';
import { MemoryClusterManagement } from '../memory-cluster-management.ts';

describe('the cluster over REST', () => {
  it('says who is in it, who leads what, and who answers', async () => {
    const { call } = createFixture();
    const { status, body } = await call('GET', '/api/v5/cluster');
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'c', self: 'sluice@n1', epoch: 7, replication_factor: 3, coordinator: 'n1' });
    expect(body.nodes[0]).toEqual({
      node: 'n1',
      node_id: 1,
      address: '10.0.0.1:5370',
      roles: ['gateway', 'store', 'coordinator'],
      rack: '',
      version: '1.2.3',
      feature_levels: { min: 1, max: 2 },
      state: 'active',
      alive: true,
      leads: 1,
      replicas: 1,
    });
    expect(body).toMatchObject({ feature_level: 2, feature_level_held: false });
    expect(body.partitions).toEqual([{ partition: 1, leader: 'n1', replicas: ['n1', 'n2', 'n3'] }]);
  });

  it.each([
    ['drain', 'draining'],
    ['leave', 'leaving'],
    ['undrain', 'active'],
  ])('%s makes a node %s', async (verb, state) => {
    const cluster = new MemoryClusterManagement();
    const { call } = createFixture({ cluster });
    const { status, body } = await call('POST', `/api/v5/nodes/n2/${verb}`);
    expect([status, body.state]).toEqual([200, state]);
    expect(cluster.nodes[1]?.state).toBe(state);
  });

  it('refuses a node that does not exist, more copies than stores, and what is no number', async () => {
    const { call } = createFixture();
    expect(await call('POST', '/api/v5/nodes/n9/drain')).toMatchObject({
      status: 404,
      body: { code: 'NOT_FOUND', message: 'Node not found' },
    });
    expect((await call('PUT', '/api/v5/cluster', { replication_factor: 5 })).status).toBe(400);
    expect((await call('PUT', '/api/v5/cluster', { replication_factor: '3' })).status).toBe(400);
    expect((await call('PUT', '/api/v5/cluster', {})).status).toBe(400);
    expect((await call('PUT', '/api/v5/cluster', { replication_factor: 1 })).body.replication_factor).toBe(1);
  });

  it('holds the feature level, and lets it rise again', async () => {
    const cluster = new MemoryClusterManagement();
    const { call } = createFixture({ cluster });
    const held = await call('PUT', '/api/v5/cluster', { feature_level_held: true });
    expect(held).toMatchObject({ status: 200, body: { feature_level: 2, feature_level_held: true } });
    expect((await call('PUT', '/api/v5/cluster', { feature_level_held: 'yes' })).status).toBe(400);
    await call('PUT', '/api/v5/cluster', { feature_level_held: false, replication_factor: 1 });
    expect([cluster.featureLevel.isHeld, cluster.replicationFactor]).toEqual([false, 1]);
  });

  it('answers 503 while the node knows no cluster', async () => {
    const cluster = new MemoryClusterManagement();
    cluster.ready = false;
    expect((await createFixture({ cluster }).call('GET', '/api/v5/cluster')).status).toBe(503);
  });
});
