import { assert } from '@sluice/common/assert';
import type { Prng } from '@sluice/common/prng';

/**
 * Every duration is in ticks, because the core has no clock: a host that ticks every 100 ms gets elections after 1 to
 * 2 s with the defaults. Every limit says what happens beyond it.
 */
export interface RaftConfig {
  /** Positive safe integer, unique in the group and never given out twice: a wiped node joins under a new one. */
  peerId: number;
  /** Spreads the election timeouts; the only source of chance. */
  prng: Prng;
  /** An election starts after this many to twice as many ticks without a leader. Default 10. */
  electionTicks?: number;
  /** Ticks between two heartbeats; below `electionTicks`. Default 1. */
  heartbeatTicks?: number;
  /** An append is closed by the entry that reaches this many bytes; one larger entry travels alone. Default 1 MiB. */
  appendBytesMax?: number;
  /** Appends sent to one follower and not yet answered; beyond it the leader waits for an answer. Default 256. */
  inflightAppendsMax?: number;
  /** Their bytes, besides: the append that reaches it is the last before an answer. Default 8 MiB. */
  inflightBytesMax?: number;
  /** Proposed and not yet committed; beyond it proposals are refused (one is always let in). Default 256 MiB. */
  uncommittedBytesMax?: number;
  /** Reads that wait for a confirmation; beyond it `requestRead` answers false. Default 65536. */
  readsPendingMax?: number;
  /** A learner further behind than this many entries is not promoted. Default 256. */
  promotionLagMax?: number;
  /** A leader that hears no majority for `electionTicks` steps down; voters with a live leader ignore candidates. */
  checkQuorum?: boolean;
  /** Ask whether an election could be won before raising the term (thesis 9.6). Default true. */
  preVote?: boolean;
}

export type ResolvedConfig = Required<RaftConfig>;

export function resolveConfig(config: RaftConfig): ResolvedConfig {
  const resolved: ResolvedConfig = {
    peerId: config.peerId,
    prng: config.prng,
    electionTicks: config.electionTicks ?? 10,
    heartbeatTicks: config.heartbeatTicks ?? 1,
    appendBytesMax: config.appendBytesMax ?? 1024 * 1024,
    inflightAppendsMax: config.inflightAppendsMax ?? 256,
    inflightBytesMax: config.inflightBytesMax ?? 8 * 1024 * 1024,
    uncommittedBytesMax: config.uncommittedBytesMax ?? 256 * 1024 * 1024,
    readsPendingMax: config.readsPendingMax ?? 65_536,
    promotionLagMax: config.promotionLagMax ?? 256,
    checkQuorum: config.checkQuorum ?? true,
    preVote: config.preVote ?? true,
  };
  assert(Number.isSafeInteger(resolved.peerId) && resolved.peerId > 0, 'peer ids are positive; 0 means nobody');
  assert(resolved.heartbeatTicks >= 1, 'a heartbeat needs at least one tick');
  assert(resolved.electionTicks > resolved.heartbeatTicks, 'an election must wait longer than one heartbeat');
  assert(resolved.inflightAppendsMax >= 1, 'a window of zero appends never makes progress');
  return resolved;
}
