import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Transport } from '@sluice/rpc/transport';
import type { Authenticator } from './auth/authenticator.ts';
import { type Authorizer, openAuthorizer } from './auth/authorizer.ts';
import type { EnhancedMethod } from './auth/enhanced-method.ts';
import { Backpressure } from './backpressure.ts';
import { AdmissionEnds } from './connection/admission-ends.ts';
import { ConnectionTable } from './connection/connection-table.ts';
import { DeadlineWheel } from './connection/deadline-wheel.ts';
import { PublishShare } from './connection/publish-share.ts';
import { connectedElsewhere } from './connection/takeover.ts';
import { TurnFlusher } from './connection/turn-flusher.ts';
import type { QueueSubscriptions } from './deliver/queue-subscriptions.ts';
import { GatewayDrain } from './gateway-drain.ts';
import { DEFAULT_GATEWAY_LIMITS, type GatewayLimits, withinHearing } from './gateway-limits.ts';
import { GatewayMetrics } from './gateway-metrics.ts';
import type { GatewayServices } from './gateway-services.ts';
import { LeftRoutesRemoval } from './live/left-routes-removal.ts';
import { LiveMesh } from './live/live-mesh.ts';
import { LiveMeshMetrics } from './live/live-mesh-metrics.ts';
import { LiveRouter } from './live/live-router.ts';
import type { DurablePublish } from './publish/durable-publish.ts';
import { PublishIngress } from './publish/publish-ingress.ts';
import { RetainedInFlight } from './retained/retained-in-flight.ts';
import type { RetainedMessages } from './retained/retained-messages.ts';
import type { StoredSessions } from './session/stored-sessions.ts';
import { type WillGroups, WillPublisher } from './session/will-publisher.ts';
import { type SystemName, systemFacts } from './system/system-facts.ts';
import { SystemTopics } from './system/system-topics.ts';

export interface GatewayOptions {
  /** Of this node: other gateways know it by that. */
  nodeId: number;
  /** How other gateways are reached. */
  transport: Transport;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  authenticator: Authenticator;
  /** Methods of several steps, MQTT 5's AUTH. Without them such a CONNECT is refused. */
  enhanced?: readonly EnhancedMethod[];
  /** Without it everybody who was let in may do everything. */
  authorizer?: Authorizer;
  durable: DurablePublish;
  queues: QueueSubscriptions;
  retained: RetainedMessages;
  /** What this node is called under `$SYS/`. */
  system?: SystemName;
  /** Undefined: no session outlives its connection, and no will. */
  sessions?: StoredSessions;
  /** How wills that the stores ask for are stored. Undefined: this gateway publishes none. */
  wills?: { durable: DurablePublish; groups: WillGroups };
  limits?: Partial<GatewayLimits>;
}

/**
 * Makes what the connections share. The mesh asks the table who is connected, and the table is of those whom the mesh serves:
 * so the mesh is given a question to ask later, and nothing here acts before there is a listener.
 */
export function composeServices(options: GatewayOptions): GatewayServices {
  const limits = withinHearing({ ...DEFAULT_GATEWAY_LIMITS, ...options.limits });
  const { nodeId, transport, clock, logger, authenticator, durable, queues, retained, sessions } = options;
  const { authorizer = openAuthorizer, enhanced = [] } = options;
  const live = new LiveRouter({ perSubscriberMax: limits.subscriptionsMax });
  const retainedInFlight = new RetainedInFlight();
  const metrics = new GatewayMetrics(options.metrics);
  const table = new ConnectionTable(limits.connectionsMax);
  const flusher = new TurnFlusher();
  const mesh = new LiveMesh({
    ...{ nodeId, transport, live, retainedInFlight, flusher, clock, logger },
    metrics: new LiveMeshMetrics(options.metrics),
    connectedElsewhere: (elsewhere) => connectedElsewhere(services, nodeId, elsewhere),
  });
  const system = options.system ?? { node: `${nodeId}`, version: 'unknown', nodes: () => [`${nodeId}`] };
  // One literal, and no parts spread into it: every packet reads some of these.
  const services: GatewayServices = {
    clock,
    logger,
    limits,
    metrics,
    authenticator,
    enhanced,
    authorizer,
    admissionEnds: new AdmissionEnds(),
    live,
    leftRoutes: new LeftRoutesRemoval(live, flusher),
    mesh,
    retained,
    retainedInFlight,
    ingress: new PublishIngress({ live, mesh, inFlight: retainedInFlight, durable, limits }),
    queues,
    system: new SystemTopics({
      live,
      mesh,
      facts: systemFacts(system, { clock, table, live, metrics }),
      intervalMs: limits.systemIntervalMs,
      nowMs: clock.monotonicMs(),
    }),
    sessions,
    backpressure: new Backpressure(durable),
    table,
    drain: new GatewayDrain({ table, clock, logger, metrics }),
    flusher,
    publishShare: new PublishShare(),
    wheel: new DeadlineWheel(limits.tickMs, clock.monotonicMs()),
  };
  return services;
}

/** Wills go the way of all publishes, and are stored by a producer of their own. */
export function willPublisherOf(
  { durable, groups }: NonNullable<GatewayOptions['wills']>,
  services: GatewayServices,
): WillPublisher {
  const {
    live,
    mesh,
    retainedInFlight: inFlight,
    limits,
    authenticator,
    authorizer,
    clock,
    logger,
    metrics,
  } = services;
  const ingress = new PublishIngress({ live, mesh, inFlight, durable, limits });
  return new WillPublisher({ groups, ingress, authenticator, authorizer, clock, logger, metrics });
}
