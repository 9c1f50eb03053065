import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Authenticator } from './auth/authenticator.ts';
import type { Authorizer } from './auth/authorizer.ts';
import type { EnhancedMethod } from './auth/enhanced-method.ts';
import type { Backpressure } from './backpressure.ts';
import type { AdmissionEnds } from './connection/admission-ends.ts';
import type { ConnectionTable } from './connection/connection-table.ts';
import type { DeadlineWheel } from './connection/deadline-wheel.ts';
import type { PublishShare } from './connection/publish-share.ts';
import type { TurnFlusher } from './connection/turn-flusher.ts';
import type { QueueSubscriptions } from './deliver/queue-subscriptions.ts';
import type { GatewayDrain } from './gateway-drain.ts';
import type { GatewayLimits } from './gateway-limits.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { LeftRoutesRemoval } from './live/left-routes-removal.ts';
import type { LiveMesh } from './live/live-mesh.ts';
import type { LiveRouter } from './live/live-router.ts';
import type { PublishIngress } from './publish/publish-ingress.ts';
import type { RetainedInFlight } from './retained/retained-in-flight.ts';
import type { RetainedMessages } from './retained/retained-messages.ts';
import type { StoredSessions } from './session/stored-sessions.ts';
import type { SystemTopics } from './system/system-topics.ts';

/** What all connections of one gateway share. */
export interface GatewayServices {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: GatewayLimits;
  readonly metrics: GatewayMetrics;
  readonly authenticator: Authenticator;
  /** Offered to clients that prove themselves in steps. */
  readonly enhanced: readonly EnhancedMethod[];
  readonly authorizer: Authorizer;
  /** Of clients that were let in until a time. */
  readonly admissionEnds: AdmissionEnds;
  readonly live: LiveRouter;
  readonly leftRoutes: LeftRoutesRemoval;
  /** Live traffic with other gateways. */
  readonly mesh: LiveMesh;
  readonly retained: RetainedMessages;
  readonly retainedInFlight: RetainedInFlight;
  readonly ingress: PublishIngress;
  readonly queues: QueueSubscriptions;
  readonly system: SystemTopics;
  /** Undefined: no session outlives its connection. */
  readonly sessions: StoredSessions | undefined;
  readonly backpressure: Backpressure;
  readonly table: ConnectionTable;
  readonly drain: GatewayDrain;
  readonly flusher: TurnFlusher;
  readonly publishShare: PublishShare;
  readonly wheel: DeadlineWheel;
}
