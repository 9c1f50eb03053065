import { BACKLOG_BUGS } from './backlog-bugs.ts';
import { SIMULATED_BACKUP_BUGS } from './backup-bugs.ts';
import { HOLD_BUGS } from './hold-bugs.ts';
import { LEAVE_BUGS } from './leave-bugs.ts';
import { LIVE_BUGS } from './live-bugs.ts';
import type { PlantedBugs } from './planted-bug.ts';
import { APPEND_BUGS, PRODUCER_BUGS } from './publish-bugs.ts';
import { QUEUE_BUGS } from './queue-bugs.ts';
import { RAFT_BUGS } from './raft-bugs.ts';
import { RETAINED_BUGS, SIMULATED_RETAINED_BUGS } from './retained-bugs.ts';
import { SIMULATED_RETENTION_BUGS } from './retention-bugs.ts';
import { SESSION_BUGS } from './session-bugs.ts';
import { STORAGE_BUGS } from './storage-bugs.ts';
import { WILL_BUGS } from './will-bugs.ts';
import { SIMULATED_WORKER_BUGS } from './worker-bugs.ts';

export const PLANTED: readonly PlantedBugs[] = [
  RAFT_BUGS,
  QUEUE_BUGS,
  STORAGE_BUGS,
  PRODUCER_BUGS,
  APPEND_BUGS,
  BACKLOG_BUGS,
  ...HOLD_BUGS,
  LEAVE_BUGS,
  ...SESSION_BUGS,
  ...WILL_BUGS,
  RETAINED_BUGS,
  SIMULATED_RETAINED_BUGS,
  SIMULATED_RETENTION_BUGS,
  SIMULATED_BACKUP_BUGS,
  SIMULATED_WORKER_BUGS,
  LIVE_BUGS,
];
