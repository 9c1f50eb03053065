import { describe } from '@jest/globals';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import { engineContract } from './engine-contract.ts';

describe('memory engine', () => engineContract(async () => new MemoryEngine()));
