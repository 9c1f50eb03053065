import { expect, test } from '@jest/globals';
import { formatKills, gatewayKills, isExact } from './gateway-kills.ts';

const TEST_MS = 150_000;

test(
  'gateways are killed under QoS 2 publishers and subscribers that come back: everything comes once, in order',
  async () => {
    const verdict = await gatewayKills({ rounds: 3, seed: 7 });
    if (!isExact(verdict)) throw new Error(formatKills(verdict));
    expect(verdict.published).toBeGreaterThan(50);
    expect(verdict.resumed).toBeGreaterThan(0);
  },
  TEST_MS,
);
