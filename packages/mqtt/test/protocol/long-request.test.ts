import { expect, test } from '@jest/globals';
import { FILTERS_A_STEP } from '../../src/protocol/long-request.ts';
import { ScriptWorld } from './script-world.ts';

/** What a packet of more filters than one turn may look at does, turn by turn. */
const COUNT = 2 * FILTERS_A_STEP + 2;
const filters = Array.from({ length: COUNT }, (_, i) => `t/${i}`);
const subscribe = `a > SUBSCRIBE 7 ${filters.map((filter) => `${filter}:q1`).join(' ')}`;
const unsubscribe = `a > UNSUBSCRIBE 8 ${filters.join(' ')}`;

function world(): { run: (line: string) => string[]; held: () => number } {
  const world = new ScriptWorld();
  const run = (line: string): string[] => {
    world.run(line);
    return world.take();
  };
  run('a > CONNECT v5 id=x');
  return { run, held: () => world.sessions.get('x')?.subscriptions.size ?? 0 };
}

test('SUBSCRIBE: a step a turn, one answer, and then what is retained, a step a turn', () => {
  const { run, held } = world();
  expect(run(subscribe)).toEqual(['a postponed']);
  expect(held()).toBe(FILTERS_A_STEP);
  expect(run('a turn')).toEqual(['a postponed']);
  expect(run('a turn')).toEqual([`a < SUBACK 7${' 0x01'.repeat(COUNT)}`, 'a postponed']);
  const begun: string[] = [];
  for (const count of [FILTERS_A_STEP, FILTERS_A_STEP, 2]) {
    const followed = run('a turn');
    expect(followed.pop()).toBe(count === 2 ? 'a reads on' : 'a postponed');
    expect(followed).toHaveLength(count);
    begun.push(...followed);
  }
  expect(begun).toEqual(filters.map((filter) => `a subscribed plain ${filter} q1 replay`));
});

test('UNSUBSCRIBE: a step a turn, one answer', () => {
  const { run, held } = world();
  run(subscribe);
  while (run('a turn').at(-1) !== 'a reads on');
  const before = run(unsubscribe);
  expect(before.at(-1)).toBe('a postponed');
  expect(held()).toBe(COUNT - FILTERS_A_STEP);
  run('a turn');
  expect(run('a turn').at(-2)).toBe(`a < UNSUBACK 8${' 0x00'.repeat(COUNT)}`);
  expect(held()).toBe(0);
});

test('its connection is lost: nothing more is done, and nothing was promised', () => {
  const { run } = world();
  run(subscribe);
  expect(run('a lost')).toEqual(['a close', 'a end session x']);
  expect(run('a turn')).toEqual(['a reads on']);
});

test('its session goes on elsewhere: what was answered begins, and what was not is asked for again', () => {
  const answered = world();
  answered.run(subscribe);
  answered.run('a turn');
  answered.run('a turn');
  const begun = answered.run('b > CONNECT v5 id=x clean=0').filter((line) => line.startsWith('a subscribed'));
  expect(begun).toHaveLength(COUNT);
  const unanswered = world();
  unanswered.run(subscribe);
  const followed = unanswered.run('b > CONNECT v5 id=x clean=0');
  expect(followed.filter((line) => line.includes('subscribed'))).toEqual([]);
  expect(followed.at(-1)).toContain('b < CONNACK 0x00 present');
});

test('what was taken over before it was answered is new to whoever asks again, and what was answered is not [MQTT-3.3.1-10]', () => {
  const asks = (connection: string): string =>
    `${connection} > SUBSCRIBE 7 ${filters.map((filter) => `${filter}:q1:rh1`).join(' ')}`;
  const replayed = (lines: string[]): number => lines.filter((line) => line.endsWith('replay')).length;
  const { run } = world();
  run(asks('a'));
  run('a turn');
  run('b > CONNECT v5 id=x clean=0');
  const lines = [...run(asks('b'))];
  while (lines.at(-1) !== 'b reads on') lines.push(...run('b turn'));
  expect(replayed(lines)).toBe(COUNT);
  const again = [...run(asks('b'))];
  while (again.at(-1) !== 'b reads on') again.push(...run('b turn'));
  expect(replayed(again)).toBe(0);
});

test('what a rule forbids in the middle ends the connection', () => {
  const { run } = world();
  const before = filters.slice(0, FILTERS_A_STEP + 1).map((filter) => `${filter}:q1`);
  run(`a > SUBSCRIBE 7 ${before.join(' ')} $share/g/t:q1:nl`);
  expect(run('a turn')).toEqual([
    expect.stringContaining('a failed 0x82'),
    expect.stringContaining('a < DISCONNECT 0x82'),
    'a close',
    'a end session x',
    'a reads on',
  ]);
});
