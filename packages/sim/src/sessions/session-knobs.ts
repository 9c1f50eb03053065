import { SUPPORTED_LEVELS, UNTOLD_LEVELS } from '@sluice/meta/feature-levels';
import { type ClusterKnobs, LARGER_BYTES, withUpgrade } from '../cluster/cluster-knobs.ts';
import type { Draw } from '../draw.ts';
import { withSyncs } from '../machine-knobs.ts';
import type { RetainedKnobs } from '../retained/retained-knobs.ts';
import type { CrewKnobs } from './worker-crew.ts';

/** What clients of kept sessions do, as a seed draws it. */
export interface SessionKnobs {
  clients: number;
  publishers: number;
  publishEveryMs: number;
  actEveryMs: number;
  awayMsMax: number;
  /** One connection in so many begins a session anew; undefined: one in 20. */
  cleanOneIn?: number;
  /** One departure in so many ends its session; undefined: none does. */
  endsOneIn?: number;
  /** Who begins a session anew subscribes at once to what it had in the former one. */
  subscribesAnew?: boolean;
  thinkMsMax: number;
  receiveMaximum: number;
  /** Topics that only sessions want; the queues' are wanted by both. */
  topics: number;
  retainedTopics: number;
  /** At QoS 2, with sessions of their own. */
  exactPublishers: number;
  /** Those clear topics, too, and publish the value behind that without waiting for an answer. */
  clearsOnce?: boolean;
  /** Clients that leave wills, and how often each does something. */
  willClients: number;
  willEveryMs: number;
  /** Subscriptions ask for QoS 2, publishers keep their sessions and publish at QoS 2 too. */
  isExactlyOnce: boolean;
  /** Who publishes and reads little else but retained messages; undefined: nobody. */
  retained?: RetainedKnobs;
}

/** Seconds; the last one: never. */
export const EXPIRIES_S = [2, 8, 0xffff_ffff] as const;

/**
 * Sessions that end all the time, by a clean start, by a DISCONNECT, by their expiry, each in portions of a few streams, while
 * their clients come back and others read the same streams. In half of the seeds the nodes of a former build, of which each
 * session ends at once, are upgraded meanwhile.
 */
export function withEndings(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const { sessions, ...others } = withSessions(knobs, draw);
  const isUpgraded = draw.onceIn(2);
  const { faults } = isUpgraded ? withUpgrade(knobs, draw) : knobs;
  const newer = SUPPORTED_LEVELS;
  const former = draw.onceIn(2) ? undefined : UNTOLD_LEVELS;
  const syncMsMin = draw.oneOf([0.5, 4, 20]);
  return {
    ...others,
    // Each portion is an entry, and whoever comes back in the meantime is what there is to see.
    disk: withSyncs(others.disk, draw, syncMsMin),
    spreadQueues: 0,
    lastValueQueues: 0,
    publishEveryMs: 1_000,
    portionStreams: draw.oneOf([1, 1, 2, 4]),
    faults,
    ...(isUpgraded ? { upgrade: { former, newer, everyMs: draw.oneOf([300, 1_000]) } } : {}),
    sessions: {
      ...(sessions as SessionKnobs),
      clients: draw.between(3, 5),
      actEveryMs: draw.oneOf([50, 150]),
      awayMsMax: draw.oneOf([20, 400, 3_000]),
      topics: 4,
      cleanOneIn: draw.oneOf([2, 5]),
      endsOneIn: 2,
      subscribesAnew: true,
      exactPublishers: draw.between(0, 1),
    },
  };
}

/**
 * Jobs for workers that speak MQTT, in whom nothing can be relied upon, while gateways die and partitions move. One in four
 * is done nothing to: there nobody waits for work, and no count is wrong.
 */
export function withWorkers(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const { sessions, ...others } = withSessions(knobs, draw);
  return {
    ...others,
    movingQueues: draw.oneOf([0, 1]),
    expiringOneIn: draw.oneOf([0, 0, 5]),
    publishers: 2,
    publishEveryMs: draw.oneOf([100, 200]),
    workersPerQueue: 0,
    crew: {
      workersPerQueue: draw.between(2, 4),
      thinkMsMax: draw.oneOf([20, 200, 800]),
      refuseOneIn: draw.oneOf([5, 20, 1_000_000]),
      stuckMs: draw.oneOf([2_000, 60_000]),
      actEveryMs: draw.oneOf([100, 400, 1_000]),
    },
    faults: draw.oneOf<ClusterKnobs['faults']>([
      [],
      ['gateway', 'gateway', 'transfer', 'kill'],
      ['kill', 'transfer', 'stop', 'drain', 'leave', 'add-store', 'copies'],
      [...knobs.faults, 'gateway'],
    ]),
    sessions: {
      ...(sessions as SessionKnobs),
      clients: 1,
      publishers: 1,
      publishEveryMs: 1_000,
      actEveryMs: 1_500,
      exactPublishers: 0,
      willClients: 0,
    },
  };
}

/** As `withWorkers`, of jobs that not every worker takes. */
export function withSizes(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const others = withWorkers(knobs, draw);
  const { payloadBytes, crew } = others;
  // Between the two sizes, or where the packet of a job comes to about as much as its worker takes.
  const lastTakesBytes = payloadBytes + draw.oneOf([500, LARGER_BYTES + draw.between(10, 60)]);
  return {
    ...others,
    largerEvery: draw.oneOf([2, 5, 20]),
    crew: { ...(crew as CrewKnobs), workersPerQueue: draw.between(3, 4), lastTakesBytes },
  };
}

/** Little else but wills, while gateways die and leaders change all the time. */
export function withWills(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const { sessions, ...others } = withSessions(knobs, draw);
  return {
    ...others,
    stores: 3,
    spreadQueues: 0,
    lastValueQueues: 0,
    publishEveryMs: 1_000,
    faultEveryMs: draw.oneOf([300, 800]),
    faults: ['gateway', 'gateway', 'gateway', 'transfer', 'kill', 'isolate'],
    sessions: {
      ...(sessions as SessionKnobs),
      clients: 2,
      publishers: 1,
      publishEveryMs: 500,
      actEveryMs: 1_500,
      exactPublishers: 0,
      willClients: 5,
      willEveryMs: 300,
    },
  };
}

/** Publishers at QoS 2 that lose their connections, and bring again what nobody answered: also what clears a topic. */
export function withClears(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const { sessions, ...others } = withSessions(knobs, draw);
  return {
    ...others,
    spreadQueues: 0,
    lastValueQueues: 0,
    publishEveryMs: 1_000,
    // What is stored and not answered is what comes again.
    faults: draw.oneOf([
      ['gateway', 'gateway', 'transfer'],
      ['kill', 'stop', 'transfer', 'gateway'],
      ['power', 'power-all', 'hung-disk', 'gateway'],
      ['isolate', 'cut-one-way', 'pause', 'slow-link', 'gateway'],
    ]),
    sessions: {
      ...(sessions as SessionKnobs),
      clients: 1,
      publishers: 1,
      publishEveryMs: 60,
      actEveryMs: 100,
      exactPublishers: 3,
      clearsOnce: true,
      willClients: 0,
    },
  };
}

/** Clients of kept sessions beside a little work in queues, under the faults that were drawn. */
export function withSessions(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const publishers = draw.between(1, 3);
  return {
    ...knobs,
    gateways: draw.oneOf([2, 2, 3]),
    regularQueues: 1,
    spreadQueues: draw.between(0, 1),
    lastValueQueues: draw.between(0, 1),
    movingQueues: 0,
    publishers: 1,
    publishEveryMs: Math.max(200, knobs.publishEveryMs),
    batch: 1,
    workersPerQueue: 1,
    sessions: {
      clients: draw.between(1, 4),
      publishers,
      publishEveryMs: publishers * draw.oneOf([50, 100, 200]),
      actEveryMs: draw.oneOf([150, 500, 1_500]),
      awayMsMax: draw.oneOf([100, 1_500, 6_000]),
      thinkMsMax: draw.oneOf([0, 30, 300]),
      receiveMaximum: draw.oneOf([1, 3, 20, 100]),
      topics: draw.between(1, 4),
      retainedTopics: draw.between(1, 4),
      exactPublishers: draw.between(0, 2),
      isExactlyOnce: draw.onceIn(2),
      willClients: draw.oneOf([0, 1, 1, 2]),
      willEveryMs: draw.oneOf([400, 800, 1_500]),
    },
  };
}
