import type { PlacementSettings } from '@sluice/coordinator/placement-loop';
import type { Draw } from '../draw.ts';
import { drawDisk, drawFaultTimes, drawNetwork } from '../machine-knobs.ts';
import { MACHINE_FAULTS, type MachineFault, type NemesisKnobs } from '../nemesis.ts';
import type { SessionKnobs } from '../sessions/session-knobs.ts';
import type { CrewKnobs } from '../sessions/worker-crew.ts';
import type { DiskKnobs } from '../sim-disk.ts';
import type { NetworkKnobs } from '../sim-network.ts';
import { STORE_FAULTS } from './store-moves.ts';
import type { UpgradeKnobs } from './upgrade.ts';

/** `gateway`: one is killed, stopped or cut off. `workers`: one leaves, one comes. */
const CLUSTER_FAULTS = ['transfer', 'gateway', 'workers', ...STORE_FAULTS] as const;
/**
 * Only where a scenario names them. `sever`: a gateway and a store are apart for so long that who asks gives up.
 * `gateway-wires`: those between two gateways are slow. `clock`: the time of day of a machine jumps. `stop-all`: all stores are
 * stopped at once, as by an operator, and start again. `astray`: the time of day of one machine, and of no second one meanwhile,
 * is wrong by an hour or by years.
 */
const NAMED_FAULTS = ['sever', 'gateway-wires', 'clock', 'astray', 'stop-all'] as const;
export type ClusterFault = (typeof CLUSTER_FAULTS)[number] | (typeof NAMED_FAULTS)[number];

/**
 * Leaders and replicas move, and every gateway hears of it at once: whoever works on a message keeps it. Under the others a
 * gateway may be silent for longer than a new leader waits for it. A machine without power is one of those: when it is back
 * at once and leads again, gateways learn by their keepalive only that it was away.
 */
export const GENTLE_FAULTS: readonly (MachineFault | ClusterFault)[] = [
  'kill',
  'transfer',
  'stop',
  'drain',
  'leave',
  'add-store',
  'copies',
];

/** More than a packet may be that is taken by workers who take the others. */
export const LARGER_BYTES = 4_000;

/** What a seed draws before its history begins. */
export interface ClusterKnobs extends NemesisKnobs<ClusterFault> {
  stores: number;
  gateways: number;
  partitions: number;
  regularQueues: number;
  spreadQueues: number;
  lastValueQueues: number;
  /** Names of queues that are made, changed and removed all the time. */
  movingQueues: number;
  queueMoveEveryMs: number;
  /** How often the limits of a queue change; undefined: there are none. */
  limitMoveEveryMs?: number;
  /** How often operators purge queues, change their settings and look at them; undefined: they do not. */
  retentionMoveEveryMs?: number;
  /** An operator makes backups; undefined: nobody does. */
  backups?: BackupKnobs;
  /** Workers that speak MQTT, beside those that do not; undefined: none does. */
  crew?: CrewKnobs;
  /** All stores are coordinators too, or only the first three. */
  allCoordinate: boolean;
  placement: Partial<PlacementSettings>;
  /** One message in so many expires soon; 0: none does. */
  expiringOneIn: number;
  /** Those that do live for so long at least. */
  expiresMsMin?: number;
  publishers: number;
  publishEveryMs: number;
  batch: number;
  payloadBytes: number;
  /** Every so many messages one is larger by `LARGER_BYTES`; undefined: none is. */
  largerEvery?: number;
  workersPerQueue: number;
  window: number;
  thinkMsMax: number;
  returnOneIn: number;
  keys: number;
  disk: DiskKnobs;
  network: NetworkKnobs;
  segmentBytes: number;
  safetyMs: number;
  /** Machines begin as nodes of a former build, and are upgraded one by one; undefined: all are of this build. */
  upgrade?: UpgradeKnobs;
  /** Streams of a portion in which sessions end; undefined: more than any session here has. */
  portionStreams?: number;
  /** Clients that speak MQTT; undefined: there are none. */
  sessions?: SessionKnobs;
}

export interface BackupKnobs {
  everyMs: number;
  /** How long who reads thinks about a piece, and how large one is at most. */
  readMsMax: number;
  pieceBytes: number;
}

const EVERY_FAULT: readonly (MachineFault | ClusterFault)[] = [...MACHINE_FAULTS, ...CLUSTER_FAULTS];

/** Each is a batch, a synced write on three disks, a settlement: what a seed costs goes by them. */
const TURNS_A_SECOND_MAX = 30;
const MESSAGES_A_SECOND_MAX = 120;

export function drawClusterKnobs(draw: Draw, safetyMs: number): ClusterKnobs {
  const latencyMsMin = draw.oneOf([0.05, 0.5, 3]);
  const syncMsMin = draw.oneOf([0.05, 0.5, 4]);
  const calm = draw.onceIn(8);
  const gentle = draw.onceIn(6);
  const batch = draw.oneOf([1, 1, 4, 16]);
  const payloadBytes = draw.oneOf([0, 100, 2_000]);
  const publishers = draw.between(1, 3);
  const [regularQueues, spreadQueues, lastValueQueues] = [draw.between(1, 2), draw.between(0, 1), draw.between(0, 1)];
  const movingQueues = draw.oneOf([0, 0, 1, 2]);
  // What all publish in a turn; more seeds find more than more messages.
  const messages = publishers * batch * (regularQueues + spreadQueues + lastValueQueues + movingQueues);
  return {
    stores: draw.oneOf([1, 3, 3, 3, 4, 5]),
    gateways: draw.oneOf([1, 2]),
    partitions: draw.oneOf([1, 2, 4]),
    regularQueues,
    spreadQueues,
    lastValueQueues,
    movingQueues,
    queueMoveEveryMs: draw.oneOf([150, 500, 1_500]),
    allCoordinate: draw.onceIn(2),
    placement: { steadyMs: draw.oneOf([1_000, 10_000]), replaceAfterMs: draw.oneOf([15_000, 300_000]) },
    expiringOneIn: draw.oneOf([0, 0, 3, 20]),
    publishers,
    publishEveryMs: Math.max(
      draw.oneOf([20, 60, 200]),
      (publishers * 1_000) / TURNS_A_SECOND_MAX,
      (messages * 1_000) / MESSAGES_A_SECOND_MAX,
    ),
    batch,
    payloadBytes,
    workersPerQueue: draw.between(1, 3),
    window: draw.oneOf([1, 3, 10]),
    thinkMsMax: draw.oneOf([0, 20, 200]),
    returnOneIn: draw.oneOf([10, 50, 1_000_000]),
    keys: draw.oneOf([1, 3, 20]),
    disk: drawDisk(draw, syncMsMin),
    network: drawNetwork(draw, latencyMsMin),
    // A few turns at least fit into a segment: every frame its own would only be slow.
    segmentBytes: Math.max(draw.oneOf([8_000, 64_000, 1_000_000]), batch * payloadBytes * 8),
    // Where nothing is done to anybody, everything is soon seen.
    safetyMs: calm ? safetyMs / 2 : safetyMs,
    ...drawFaultTimes(draw),
    faults: calm ? [] : (gentle ? GENTLE_FAULTS : EVERY_FAULT).filter(() => draw.onceIn(2)),
  };
}

/** Jobs that take longer than any change of leader, and leaders that change all the time. */
export function withJobs(knobs: ClusterKnobs): ClusterKnobs {
  const faults: ClusterKnobs['faults'] = ['kill', 'power', 'transfer', 'transfer', 'stop', 'drain'];
  return { ...knobs, stores: Math.max(3, knobs.stores), faults, thinkMsMax: 4_000, window: Math.max(3, knobs.window) };
}

/**
 * Nodes of two builds in one cluster, and messages that flow. Nobody comes who was not there, and nobody goes: who is to
 * be counted is known at any moment.
 */
export function withUpgrade(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const faults: ClusterKnobs['faults'] = ['kill', 'power', 'transfer', 'stop', 'drain', 'gateway'];
  const [former, newer] = [draw.onceIn(2) ? undefined : { min: 1, max: 1 }, { min: 1, max: draw.oneOf([2, 3]) }];
  return {
    ...knobs,
    faults,
    upgrade: { former, newer, everyMs: draw.oneOf([300, 1_000]), backOneIn: draw.oneOf([2, 5]) },
  };
}

/** Queues whose limits change while they are longer than these, while their messages expire and workers are slow. */
export function withLimits(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  return {
    ...knobs,
    regularQueues: 2,
    lastValueQueues: 0,
    movingQueues: 0,
    limitMoveEveryMs: draw.oneOf([300, 1_000]),
    expiringOneIn: draw.oneOf([0, 2, 5]),
    thinkMsMax: draw.oneOf([100, 400]),
    workersPerQueue: 1,
    window: draw.oneOf([1, 3]),
  };
}

/**
 * Queues that are purged, kept for a while only, limited, and changed in whatever can be, while they are in use and others
 * are made and removed. One in four is done nothing to but this: what is promised then has no excuse.
 */
export function withRetention(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  return {
    ...knobs,
    lastValueQueues: draw.between(0, 1),
    movingQueues: draw.between(0, 2),
    retentionMoveEveryMs: draw.oneOf([100, 300, 1_000]),
    thinkMsMax: draw.oneOf([20, 200, 800]),
    workersPerQueue: draw.between(1, 2),
    faults: draw.onceIn(4) ? [] : knobs.faults,
  };
}

/**
 * The time of day jumps, by anything up to an hour, and stores are stopped all at once. Nothing that a queue promises is a
 * matter of the time of day but expiry, so nothing expires here and all else must hold: also that nothing comes twice.
 */
export function withClocks(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const others = draw.oneOf<ClusterKnobs['faults']>([[], ['stop-all'], knobs.faults]);
  return { ...knobs, expiringOneIn: 0, faultEveryMs: draw.oneOf([300, 1_000]), faults: ['clock', 'clock', ...others] };
}

/**
 * Backups all the time, of queues that are long because workers are slow, while leaders, disks, wires and clocks fail. What is
 * read in small pieces is read from a leader that is none any more. Where clocks jump nothing expires: only then does that
 * depend on the time of day.
 */
export function withBackups(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const hasClocks = draw.onceIn(4);
  return {
    ...knobs,
    spreadQueues: 1,
    expiringOneIn: hasClocks ? 0 : knobs.expiringOneIn,
    gateways: draw.oneOf([1, 1, 2]),
    thinkMsMax: draw.oneOf([800, 3_000, 8_000]),
    workersPerQueue: 1,
    window: draw.oneOf([1, 3, 10]),
    segmentBytes: Math.max(draw.oneOf([8_000, 64_000]), knobs.batch * knobs.payloadBytes * 8),
    faults: hasClocks ? ['clock', ...knobs.faults] : knobs.faults,
    backups: {
      everyMs: draw.oneOf([300, 1_000]),
      readMsMax: draw.oneOf([0, 20, 200]),
      pieceBytes: draw.oneOf([500, 4_000, 1_000_000]),
    },
  };
}

/**
 * One clock is wrong by an hour to years, for a while, and the others are right. Messages live for longer than the history
 * takes and for less than the clock is wrong by: none may go for being too old, and no partition's time may run away.
 */
export function withAstray(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const others = draw.oneOf<ClusterKnobs['faults']>([[], ['transfer', 'kill'], ['stop-all'], knobs.faults]);
  return {
    ...knobs,
    stores: draw.oneOf([3, 3, 5]),
    expiringOneIn: 2,
    expiresMsMin: 30 * 60_000,
    faultEveryMs: draw.oneOf([300, 1_000]),
    faults: ['astray', 'astray', ...others],
  };
}
