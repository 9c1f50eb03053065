import { beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeInfo } from '@sluice/meta/node-info';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import type { GatewayLoadRequest, GatewayLoadResponse } from '@sluice/rpc/contract/gateway-load';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import { ConnectionAdministration } from '../../src/administration/connection-administration.ts';
import { nodeInfo } from '../support/test-cluster.ts';

let topology: Topology;
let network: InprocNetwork;
let connections: ConnectionAdministration;
/** What each gateway was told, without the looks. */
let told: Map<string, GatewayLoadRequest>;

beforeEach(() => {
  topology = new Topology();
  network = new InprocNetwork({ codecs: true });
  told = new Map();
  connections = new ConnectionAdministration({ topology, transport: network.node(1) });
});

/** A gateway for each number, with as many connections; node 1 is the coordinator. */
function gateways(...counts: (number | 'draining' | 'silent')[]): void {
  const nodes: NodeInfo[] = [nodeInfo(1, ['coordinator'])];
  for (const [i, count] of counts.entries()) {
    const nodeId = i + 2;
    nodes.push(nodeInfo(nodeId, ['gateway'], count === 'draining' ? { state: 'draining' } : {}));
    if (count === 'silent') continue;
    network.node(nodeId).serveCall<GatewayLoadRequest, GatewayLoadResponse>('gateway-load', async (request) => {
      if (request.type !== 'look') told.set(`n${nodeId}`, request);
      const own = count === 'draining' ? 1_000 : count;
      const isShedding = request.type === 'shed';
      return { type: 'load', connections: own, isShedding, target: isShedding ? request.target : own, sent: 0 };
    });
  }
  topology.reset({
    epoch: 1,
    clusterId: 'c',
    partitionCount: 0,
    replicationFactor: 1,
    nodes,
    partitions: [],
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues: [],
  });
  topology.applyLiveness({ alive: nodes.map(({ nodeId }) => nodeId), leaders: [] });
}

const WISH = { threshold: 1.1, perSecond: 50 };

describe('connections over gateways', () => {
  test('go from those that have too many, down to the mean, and from nobody else', async () => {
    gateways(900, 560, 40, 'draining');
    expect(await connections.start(WISH)).toMatchObject({
      ok: true,
      value: { isUnderWay: true, meanConnections: 500, gateways: [{ name: 'n2' }, { name: 'n3' }, { name: 'n4' }] },
    });
    expect(Object.fromEntries(told)).toEqual({
      n2: { type: 'shed', target: 500, perSecond: 50 },
      n3: { type: 'shed', target: 500, perSecond: 50 },
      n4: { type: 'keep' },
    });
  });

  test('stay where they are while nobody is above the threshold', async () => {
    gateways(105, 95);
    expect(await connections.start(WISH)).toMatchObject({ value: { isUnderWay: false } });
    expect([...told.values()]).toEqual([{ type: 'keep' }, { type: 'keep' }]);
    // Two on one and none on the other is one each; one cannot be shared.
    gateways(1, 0);
    expect(await connections.start(WISH)).toMatchObject({ value: { isUnderWay: false } });
  });

  test('are looked at and left alone, and kept by all when it is ended', async () => {
    gateways(900, 100);
    expect(await connections.look()).toMatchObject({ value: { isUnderWay: false, meanConnections: 500 } });
    expect(told.size).toBe(0);
    await connections.stop();
    expect([...told.values()]).toEqual([{ type: 'keep' }, { type: 'keep' }]);
  });

  test('are not moved by a mean that is not known, nor without anywhere to go', async () => {
    gateways(900, 'silent');
    expect(await connections.start(WISH)).toMatchObject({ ok: false, code: 'UNAVAILABLE' });
    gateways(900, 'draining');
    expect(await connections.start(WISH)).toMatchObject({ ok: false, code: 'BAD_REQUEST' });
    expect(told.size).toBe(0);
  });
});
