import type { Clock } from '@sluice/common/clock';
import { PacketType } from '@sluice/mqtt/codec/packet';
import type { ConnectionTable } from '../connection/connection-table.ts';
import type { GatewayMetrics } from '../gateway-metrics.ts';
import type { LiveRouter } from '../live/live-router.ts';

/** Whom a node is, for others to read. */
export interface SystemName {
  readonly node: string;
  readonly version: string;
  /** Names of all nodes with a gateway, this one included. */
  nodes(): readonly string[];
}

/** What a node knows of itself when somebody asks. Amounts are since its start. */
export interface SystemFacts {
  readonly node: string;
  readonly version: string;
  readonly nodes: readonly string[];
  readonly uptimeS: number;
  readonly nowMs: number;
  readonly connections: number;
  /** The most there were when somebody looked. */
  readonly connectionsMost: number;
  readonly sessions: number;
  readonly subscriptions: number;
  readonly sharedSubscriptions: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly publishesReceived: number;
  readonly publishesSent: number;
  readonly publishesDropped: number;
}

interface Sources {
  clock: Clock;
  table: ConnectionTable;
  live: LiveRouter;
  metrics: GatewayMetrics;
}

/** Reads what is counted anyway: nothing is counted for this alone. */
export function systemFacts(name: SystemName, { clock, table, live, metrics }: Sources): () => SystemFacts {
  const startedMs = clock.monotonicMs();
  let connectionsMost = 0;
  return () => {
    connectionsMost = Math.max(connectionsMost, table.size);
    return {
      node: name.node,
      version: name.version,
      nodes: name.nodes(),
      uptimeS: Math.floor((clock.monotonicMs() - startedMs) / 1000),
      nowMs: clock.nowMs(),
      connections: table.size,
      connectionsMost,
      sessions: table.sessions,
      subscriptions: live.subscriptions,
      sharedSubscriptions: metrics.subscriptionGauge('shared').value,
      bytesReceived: metrics.bytesIn.value,
      bytesSent: metrics.bytesOut.value,
      packetsReceived: sum(metrics.packetsIn),
      packetsSent: sum(metrics.packetsOut),
      publishesReceived: metrics.packetsIn[PacketType.PUBLISH]?.value ?? 0,
      publishesSent: metrics.packetsOut[PacketType.PUBLISH]?.value ?? 0,
      publishesDropped: metrics.droppedTotal,
    };
  };
}

function sum(counters: readonly { value: number }[]): number {
  let total = 0;
  for (const counter of counters) total += counter?.value ?? 0;
  return total;
}
