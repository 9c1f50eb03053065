import { expect, test } from '@jest/globals';
import { PartitionProducer } from '../../src/publish/partition-producer.ts';
import {
  add,
  addExchange,
  clock,
  type Outcome,
  originOf,
  producer,
  routes,
  store,
  turn,
  until,
} from '../doubles/producer-scene.ts';

/*
 * What nobody knows of a publisher at QoS 2 is brought again by it, and taken where it comes then: nothing that it sent
 * behind it may be stored before.
 */

const seen = (from = 0): string[] =>
  store.requests.slice(from).map(({ batch }, i) => {
    const { sequence, after } = originOf(batch);
    return `${store.texts(from + i).join(' ')}: ${sequence}>${after}`;
  });

const said = (outcomes: readonly Outcome[]): string[] => outcomes.map((outcome) => outcome.said.join(' '));

/** A batch each. */
async function publish(...kinds: ('QoS 1' | 'QoS 2')[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [i, kind] of kinds.entries()) {
    outcomes.push(kind === 'QoS 2' ? addExchange(`${i + 1}`, i + 1) : add(`${i + 1}`));
    await turn();
  }
  return outcomes;
}

test('all behind it are given up with it, up to the last at QoS 2: of that one a copy may come after any of them', async () => {
  const outcomes = await publish('QoS 1', 'QoS 2', 'QoS 1', 'QoS 2', 'QoS 1');
  store.answer(1, 'unavailable');
  expect(said(outcomes)).toEqual(['', 'unavailable', 'unavailable', 'unavailable', '']);
  // What they are answered later changes nothing.
  store.answer(2, 'out-of-order', [], 1);
  store.answer(3, 'committed');
  const sent = store.requests.length;
  routes.announced(1, 2, 2);
  expect(seen(sent)).toEqual(['1: 1>0', '5: 5>1']);
  store.answer(sent, 'committed');
  store.answer(sent + 1, 'committed');
  expect(said(outcomes)).toEqual(['stored', 'unavailable', 'unavailable', 'unavailable', 'stored']);
  expect(producer.bufferedBytes).toBe(0);
});

test('at the deadline, too: what is younger is not stored by who leads a moment later', async () => {
  routes.suspect(1, 1);
  store.transport.kill(1);
  store.transport.kill(2);
  store.transport.kill(3);
  const [first] = await publish('QoS 2');
  clock.nowMs += 4_000;
  const later = [addExchange('2', 2), add('3')];
  await turn();
  const last = add('4');
  await turn();
  clock.nowMs += 1_001;
  await until(() => first?.said.length === 1);
  expect(said([first as Outcome, ...later, last])).toEqual(['unavailable', 'unavailable', 'unavailable', '']);
});

test('also what is not sent yet, and what gathers', async () => {
  const [first] = await publish('QoS 2');
  const gathering = [add('2'), addExchange('3', 3)];
  store.answer(0, 'unavailable');
  const same = add('4');
  expect(said([first as Outcome, ...gathering, same])).toEqual(['unavailable', '', '', '']);
  await turn();
  expect(said([...gathering, same])).toEqual(['unavailable', 'unavailable', 'unavailable']);
  // Not what gathers afterwards.
  const next = addExchange('5', 5);
  await turn();
  expect([said([next]), seen(1)]).toEqual([[''], ['5: 2>0']]);
});

test('but what gathers goes on where nothing of it is brought again', async () => {
  await publish('QoS 2');
  const gathering = add('2');
  store.answer(0, 'unavailable');
  await turn();
  expect([said([gathering]), seen(1)]).toEqual([[''], ['2: 2>0']]);
});

test('who publishes at QoS 1 brings nothing again that others would pass: it is given up alone', async () => {
  const outcomes = await publish('QoS 1', 'QoS 2', 'QoS 1');
  store.answer(0, 'unavailable');
  expect(said(outcomes)).toEqual(['unavailable', '', '']);
});

test('nobody hears of it before all have left their places: who publishes at once sends none of them again', async () => {
  const outcomes = await publish('QoS 2', 'QoS 2');
  const [first, second] = outcomes as [Outcome, Outcome];
  first.recordFailed = () => {
    addExchange(Buffer.alloc(PartitionProducer.LARGE_PAYLOAD_BYTES), 3);
  };
  store.answer(0, 'unavailable');
  expect(second.said).toEqual(['unavailable']);
  expect(store.requests.slice(2).map(({ batch }) => originOf(batch).sequence)).toEqual([3]);
});

test('what a full disk refused is brought again by who cannot be told: what is behind it is refused with it, room or not', async () => {
  const outcomes = await publish('QoS 1', 'QoS 2', 'QoS 1', 'QoS 2', 'QoS 1');
  const gathering = addExchange('6', 6);
  store.answer(1, 'storage-full');
  // There is room again.
  store.answer(2, 'out-of-order', [], 1);
  await turn();
  const full = 'storage-full';
  expect(said([...outcomes, gathering])).toEqual(['', full, full, full, '', full]);
});

test('what is published by whoever hears of a batch that was given up has a deadline as well, in whichever partition', async () => {
  const large = new Uint8Array(PartitionProducer.LARGE_PAYLOAD_BYTES);
  // The first partition has nothing to wait for, and is looked at before the second.
  const [first] = await publish('QoS 1');
  store.answer(0, 'committed');
  expect(first?.said).toEqual(['stored']);
  const second = add('x', 2);
  await turn();
  const third: Outcome[] = [];
  second.recordFailed = () => void third.push(add(large, 1, true));
  clock.nowMs += 5_001;
  await until(() => third.length > 0);
  clock.nowMs += 5_001;
  await until(() => third[0]?.said.length === 1);
  expect(said(third)).toEqual(['unavailable']);
});
