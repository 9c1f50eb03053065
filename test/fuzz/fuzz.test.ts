import { expect, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import { BrokerUnderAttack } from '../hostile/broker-under-attack.ts';
import { fuzzBroker } from './fuzz-broker.ts';
import { fuzzDecoder } from './fuzz-decoder.ts';
import { PacketMaker, WORDS } from './packet-maker.ts';

// The long form: npm run fuzz -- --packets 10_000_000

test('the same seed makes the same packets', () => {
  const made = (seed: number): string[] => {
    const maker = new PacketMaker(new SeededPrng(seed), WORDS, 3);
    return Array.from({ length: 200 }, () => maker.next(5).toString('hex'));
  };
  expect(made(7)).toEqual(made(7));
  expect(made(7)).not.toEqual(made(8));
});

test('what the maker leaves whole is accepted, but for what only a session can judge', () => {
  const maker = new PacketMaker(new SeededPrng(5), WORDS, 0);
  expect(maker.next(5).length).toBeGreaterThan(1);
  const { packets, accepted, failures } = fuzzDecoder(20_000, 5, () => {});
  expect([packets, failures]).toEqual([20_000, []]);
  // Half of them are broken on purpose, and some of those into something that is right again.
  expect(accepted).toBeGreaterThan(packets / 2);
  expect(accepted).toBeLessThan(packets * 0.9);
});

test('a broker lives through 20,000 packets of sequences that are nearly right, and serves', async () => {
  const broker = await BrokerUnderAttack.start({ flags: ['--set', 'mqtt.receiveMaximum=50'] });
  try {
    await broker.createQueue({ topic_filter: 'a/#', is_lastvalue: false });
    const found = await fuzzBroker(broker, { packets: 20_000, seed: 3, atOnce: 16, onProgress: () => {} });
    expect(found.packets).toBeGreaterThanOrEqual(20_000);
    await broker.stillServes();
    await broker.until(
      'every connection is gone',
      async () => (await broker.metric('sluice_gateway_connections')) === 0,
    );
    expect(await broker.metric('sluice_gateway_protocol_errors_total')).toBeGreaterThan(50);
    await broker.server.stop();
    broker.expectNoBug();
  } finally {
    await broker.dispose();
  }
}, 60_000);
