// Cost of one assignment and its acknowledgement as consumers grow. Run after a build:
//   node packages/queue/bench/dispatcher.mjs
import { SeededPrng } from '@sluice/common/prng';
import { Dispatcher } from '@sluice/queue/dispatch/dispatcher';

const RECORDS = 1_000_000;
const WINDOW = 10;

/** All consumers are full; each acknowledgement, by a random holder, makes the only place. */
function nearlyFull(strategy, consumers) {
  const prng = new SeededPrng(1);
  const dispatcher = new Dispatcher({ strategy, prng, redispatchIntervalMs: 100 });
  for (let id = 1; id <= consumers; id++) dispatcher.attach(id, WINDOW);
  const refs = new Array(consumers * WINDOW);
  const holders = new Int32Array(refs.length);
  for (let i = 0; i < refs.length; i++) {
    refs[i] = { offset: i, rowBase: 0, deliveryCount: 1, sizeBytes: 100 };
    holders[i] = dispatcher.offer(refs[i], 0);
  }
  const started = process.hrtime.bigint();
  for (let i = 0; i < RECORDS; i++) {
    const slot = prng.below(refs.length);
    const ref = dispatcher.accept(holders[slot], refs[slot].offset);
    ref.offset = refs.length + i;
    holders[slot] = dispatcher.offer(ref, i);
  }
  return Number(process.hrtime.bigint() - started) / RECORDS;
}

/** Every record is rejected once and taken by another. */
function rejected(strategy, consumers) {
  const prng = new SeededPrng(1);
  const dispatcher = new Dispatcher({ strategy, prng, redispatchIntervalMs: 100 });
  for (let id = 1; id <= consumers; id++) dispatcher.attach(id, WINDOW);
  const records = RECORDS / 5;
  const ref = { offset: 0, rowBase: 0, deliveryCount: 1, sizeBytes: 100 };
  const started = process.hrtime.bigint();
  for (let i = 0; i < records; i++) {
    ref.offset = i;
    dispatcher.reject(dispatcher.offer(ref, i), i, i);
    dispatcher.accept(dispatcher.nextRedelivery(i).consumerId, i);
  }
  return Number(process.hrtime.bigint() - started) / records;
}

console.log('strategy        consumers  ns a record, nearly full  ns a record, rejected once');
for (const strategy of ['random', 'round_robin', 'least_inflight']) {
  for (const consumers of [10, 100, 1_000, 10_000]) {
    const full = nearlyFull(strategy, consumers).toFixed(0);
    const again = rejected(strategy, consumers).toFixed(0);
    console.log(`${strategy.padEnd(15)} ${String(consumers).padStart(9)}  ${full.padStart(24)}  ${again.padStart(26)}`);
  }
}
