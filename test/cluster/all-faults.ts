import type { FaultKind } from './fault.ts';
import { F0, F1, F2, F3, F4, F5, F6 } from './process-faults.ts';

/** In the order of the fault matrix. */
export const FAULTS: readonly FaultKind[] = [F0, F1, F2, F3, F4, F5, F6];
