import type { PlantedBugs } from './planted-bug.ts';
import { RAFT_BUGS } from './raft-bugs.ts';

export const PLANTED: readonly PlantedBugs[] = [RAFT_BUGS];
