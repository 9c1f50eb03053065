import type { ClusterFault, ClusterKnobs } from '../cluster/cluster-knobs.ts';
import type { Draw } from '../draw.ts';
import { withSyncs } from '../machine-knobs.ts';
import type { MachineFault } from '../nemesis.ts';
import { type SessionKnobs, withSessions } from '../sessions/session-knobs.ts';

/** Who publishes what is to be retained and who reads it, as a seed draws it. */
export interface RetainedKnobs {
  publishers: number;
  publishEveryMs: number;
  /** Of all publishers. */
  topics: number;
  payloadBytes: number;
  clearOneIn: number;
  expireOneIn: number;
  /** After so many publishes one of them goes on at another gateway. */
  moveOneIn: number;
  /** Who subscribes, reads and leaves, at once. */
  readers: number;
  readEveryMs: number;
  /** Until a reader acknowledges. */
  thinkMsMax: number;
  receiveMaximum: number;
  /** A topic gets no new value while somebody waits for the last one: what is missed stays so, and is seen. */
  isPatient: boolean;
}

type Faults = readonly (MachineFault | ClusterFault)[];

/** `sever`: a gateway and a store are apart for as long as a reader waits. `gateway-wires`: those between two are slow. */
const FAULTS: readonly Faults[] = [
  [],
  ['gateway-wires'],
  ['gateway-wires', 'transfer', 'transfer', 'kill', 'stop'],
  ['sever', 'gateway-wires', 'transfer'],
  ['sever', 'isolate', 'slow-link', 'kill'],
  ['gateway-wires', 'power', 'power-all', 'slow-disk', 'hung-disk', 'sync-error', 'kill', 'disk-full'],
  ['gateway-wires', 'isolate', 'cut-one-way', 'halves', 'slow-link', 'pause', 'transfer'],
  ['gateway', 'gateway', 'gateway-wires', 'transfer', 'power', 'sever'],
];

/** Those under which something live may be lost: a gateway dies, or stands still. */
export const LOSES_LIVE: Faults = ['gateway'];

/** Five minutes, as the broker has it unless it is told otherwise; longer than any fault here. */
const GIVEN_UP_AFTER_MS = 300_000;

/** Little else but what is retained and who reads it, at several gateways, over several partitions. */
export function withRetained(knobs: ClusterKnobs, draw: Draw): ClusterKnobs {
  const { sessions, ...others } = withSessions(knobs, draw);
  const topics = draw.oneOf([6, 24, 24, 60, 400]);
  const publishers = draw.between(2, 4);
  const faults = draw.oneOf(FAULTS);
  const syncMsMin = draw.oneOf([0.5, 4, 20]);
  return {
    ...others,
    // A gateway that is given up loses what is live, and restarts: one that is severed for as long as this does not last.
    placement: { ...others.placement, replaceAfterMs: GIVEN_UP_AFTER_MS },
    stores: 3,
    gateways: draw.oneOf([2, 3, 3, 4]),
    partitions: topics > 100 ? 1 : draw.oneOf([1, 3, 4]),
    spreadQueues: 0,
    lastValueQueues: 0,
    publishEveryMs: 1_000,
    // What is under way for long is what somebody subscribes in the middle of.
    disk: withSyncs(others.disk, draw, syncMsMin),
    faultEveryMs: draw.oneOf([500, 1_500]),
    faults,
    sessions: {
      ...(sessions as SessionKnobs),
      clients: 0,
      publishers: 0,
      actEveryMs: 1_500,
      exactPublishers: 0,
      willClients: 0,
      retained: {
        publishers,
        publishEveryMs: publishers * (topics > 100 ? 5 : draw.oneOf([15, 40])),
        topics,
        payloadBytes: topics > 100 ? draw.oneOf([100, 1_000]) : draw.oneOf([20, 1_000, 12_000]),
        clearOneIn: draw.oneOf([8, 30]),
        expireOneIn: draw.oneOf([6, 30, 1_000]),
        moveOneIn: draw.oneOf([60, 1_000]),
        readers: topics > 100 ? 4 : draw.oneOf([6, 12]),
        readEveryMs: topics > 100 ? 400 : draw.oneOf([30, 100]),
        thinkMsMax: draw.oneOf([0, 0, 10]),
        // By one at a time all of many topics take longer than there is time for.
        receiveMaximum: topics > 100 ? 100 : draw.oneOf([1, 5, 100]),
        isPatient: !draw.onceIn(4),
      },
    },
  };
}
