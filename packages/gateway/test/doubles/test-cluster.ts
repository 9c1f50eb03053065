import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import type { Authenticator } from '../../src/auth/authenticator.ts';
import type { GatewayLimits } from '../../src/gateway-limits.ts';
import { MemoryRetained } from './memory-retained.ts';
import { TestGateway, until } from './test-gateway.ts';

/** Some gateways that know each other, each a node of its own on one in-process network. Node ids count from 1. */
export class TestCluster {
  readonly network = new InprocNetwork({ codecs: true });
  readonly retained = new MemoryRetained();
  readonly gateways: TestGateway[] = [];

  static async start(
    count: number,
    limits: Partial<GatewayLimits> = {},
    authenticator?: Authenticator,
  ): Promise<TestCluster> {
    const cluster = new TestCluster();
    for (let nodeId = 1; nodeId <= count; nodeId++) {
      const place = { nodeId, transport: cluster.network.node(nodeId), retained: cluster.retained };
      cluster.gateways.push(await TestGateway.start(limits, authenticator, place));
    }
    cluster.meet();
    return cluster;
  }

  /** The topology says who they are. */
  meet(): void {
    const nodeIds = this.gateways.map((_, i) => i + 1);
    for (const { gateway } of this.gateways) gateway.setPeers(nodeIds);
  }

  at(nodeId: number): TestGateway {
    return this.gateways[nodeId - 1] as TestGateway;
  }

  /** Waits until `nodeId` acts on so many filters of others. */
  routesAt(nodeId: number, count: number): Promise<number> {
    return until(
      () => this.at(nodeId).gateway.counts().remoteRoutes,
      (n) => n === count,
    );
  }

  async stop(): Promise<void> {
    for (const gateway of this.gateways) await gateway.stop();
  }
}
