import { F13, F14, F15, F16, F19, F20, F21 } from './disk-faults.ts';
import type { FaultKind } from './fault.ts';
import { F10, F11 } from './link-faults.ts';
import { F28 } from './mixed-faults.ts';
import { F7, F8, F9 } from './network-faults.ts';
import { F22, F23, F24, F25 } from './operation-faults.ts';
import { F0, F1, F2, F3, F4, F5, F6 } from './process-faults.ts';
import { F17, F18 } from './slow-disk-faults.ts';

/** In the order of their numbers. */
export const FAULTS: readonly FaultKind[] = [
  ...[F0, F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11],
  ...[F13, F14, F15, F16, F17, F18, F19, F20, F21, F22, F23, F24, F25, F28],
];
