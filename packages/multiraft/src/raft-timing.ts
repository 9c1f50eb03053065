/** One Raft tick. Ten of them make an election timeout, so a silent leader is replaced within one to two seconds. */
export const TICK_MS = 100;
export const ELECTION_TICKS = 10;
/** A node that is silent, or was paused, for that long has missed an election. */
export const ELECTION_MS = TICK_MS * ELECTION_TICKS;
