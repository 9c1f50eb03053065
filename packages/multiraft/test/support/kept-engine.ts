import { MemoryEngine } from '@sluice/storage/memory/memory-engine';

/** An engine that outlives the node that opened it: everything that was ever written to it survived the crash. */
export class KeptEngine extends MemoryEngine {
  override async close(): Promise<void> {}
}
