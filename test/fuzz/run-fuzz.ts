// npm run fuzz [-- --packets N --seed S --what decoder,broker]: packets that are right, nearly right and wrong; exits with 1
// when the decoder throws what is no refusal, or the broker ends, stops serving, or logs a bug.
import { Command, InvalidArgumentError, Option } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { BrokerUnderAttack } from '../hostile/broker-under-attack.ts';
import { fuzzBroker } from './fuzz-broker.ts';
import { fuzzDecoder } from './fuzz-decoder.ts';

const targets = (text: string): string[] => {
  const names = text.split(',');
  const strange = names.find((name) => name !== 'decoder' && name !== 'broker');
  if (strange !== undefined) throw new InvalidArgumentError(`${strange} is neither decoder nor broker`);
  return names;
};

const options = new Command('npm run fuzz --')
  .description('send the decoder and a running broker packets that are right, nearly right and wrong')
  .option('--packets <N>', 'how many, for each of the two', wholeNumber(), 1_000_000)
  .option('--seed <S>', 'the same seed makes the same packets', wholeNumber(), Math.floor(Math.random() * 1e6) + 1)
  .option('--at-once <N>', 'connections to the broker at one time', wholeNumber(), 32)
  .addOption(
    new Option('--what <NAMES>', 'decoder, broker, or both with a comma between')
      .argParser(targets)
      .default(['decoder', 'broker'], 'both'),
  )
  .parse()
  .opts<{ packets: number; seed: number; atOnce: number; what: string[] }>();

const { packets, seed, atOnce } = options;
const fromMs = performance.now();
const say = (text: string): void => {
  console.log(`${((performance.now() - fromMs) / 1_000).toFixed(1).padStart(7)} s  ${text}`);
};
let saidMs = 0;
const seldom = (text: () => string): void => {
  if (performance.now() - saidMs < 5_000) return;
  saidMs = performance.now();
  say(text());
};
say(`seed ${seed}`);
let isBroken = false;

if (options.what.includes('decoder')) {
  const found = fuzzDecoder(packets, seed, ({ packets: done, failures }) =>
    seldom(() => `decoder: ${done} packets, ${failures.length} failures`),
  );
  const refusals = [...found.refusals].map(([code, times]) => `${code} ${times}`).join(', ');
  say(`decoder: ${found.packets} packets: ${found.accepted} accepted, ${found.refused} refused (${refusals})`);
  say(`decoder: the slowest packet took ${found.slowestMs.toFixed(2)} ms`);
  for (const failure of found.failures) say(`decoder: ${failure}`);
  isBroken ||= found.failures.length > 0;
}

if (options.what.includes('broker')) {
  const broker = await BrokerUnderAttack.start({ flags: ['--set', 'mqtt.receiveMaximum=50'] });
  try {
    for (const topic_filter of ['a', 'a/#', 'lv']) {
      const isLastValue = topic_filter === 'lv';
      const limits = { max_message_count: 10_000, overflow: isLastValue ? 'refuse' : 'drop_oldest' };
      await broker.createQueue({ topic_filter, is_lastvalue: isLastValue, limits });
    }
    const found = await fuzzBroker(broker, {
      packets,
      seed,
      atOnce,
      onProgress: ({ packets: done, connections }) =>
        seldom(() => `broker: ${done} packets, ${connections} connections`),
    });
    await broker.stillServes();
    const closed = async (): Promise<boolean> => (await broker.metric('sluice_gateway_connections')) === 0;
    await broker.until('every connection is gone', closed, 60_000);
    const { packets: sent, connections, answeredBytes } = found;
    say(`broker: ${sent} packets over ${connections} connections, ${answeredBytes} bytes came back; it serves`);
    const kinds = [...(await broker.metrics('sluice_gateway_protocol_errors_total'))].filter(([, times]) => times > 0);
    say(`broker: refused ${kinds.map(([labels, times]) => `${/kind="(\w+)"/.exec(labels)?.[1]} ${times}`).join(', ')}`);
    say(`broker: resident ${(await broker.residentMb()).toFixed(0)} MB`);
    await broker.server.stop();
    broker.expectNoBug();
  } catch (cause) {
    say(`broker: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`);
    isBroken = true;
  } finally {
    await broker.dispose();
  }
}
say(isBroken ? 'BROKEN' : 'held');
process.exit(isBroken ? 1 : 0);
