import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, Producer } from './clients.mjs';
import { over } from './flow.mjs';
import { holds, settled } from './score.mjs';

const EVERY_MS = 500;
const AWAY = 6;
const LIVE = 4;
/** Between a command and its arrival a node may be killed or frozen. */
const ARRIVAL_MS_MAX = 15_000;

/** A device that was away gets the newest command of each kind, not the history; then each new one live. */
export async function commandQueue(broker, score) {
  score.title('3. Command queue: after an absence, only the newest value of each key');
  const topic = broker.topic('commands/device1');
  await broker.createQueue({
    topic_filter: topic,
    is_lastvalue: true,
    key_expression: 'message.headers.properties.User-Property.key',
    dispatch_strategy: 'random',
  });
  const onlooker = await Consumer.subscribe(broker, topic);
  const producer = await Producer.connect(broker);
  let sent = 0;
  let slowestMs = 0;
  const command = async (key, value) => {
    const fromMs = performance.now();
    producer.send({ topic, text: `${key}=${value}`, key });
    await producer.acknowledged();
    slowestMs = Math.max(slowestMs, Math.round(performance.now() - fromMs));
    sent++;
  };

  const harm = broker.harm?.coordinator(`/${topic}`);
  const harmed = harm !== undefined;
  score.note(`the device is away; set-color is sent twice a second, ${AWAY} times`);
  for (let i = 1; i <= AWAY; i++) {
    await command('set-color', `shade${i}`);
    await sleep(EVERY_MS);
  }
  const device = await Consumer.subscribe(broker, `$q/${topic}`, { version: 4 });
  await device.received(1);
  await settled(() => device.messages.length);
  same(score, different(device.texts), [`set-color=shade${AWAY}`], 'on its return the device gets the newest command');

  score.note(harmed ? 'more while it is there, and nodes are harmed' : `${LIVE} more while it is there`);
  const expected = [`set-color=shade${AWAY}`];
  const end = harmed ? over(harm) : undefined;
  for (let i = AWAY + 1; i <= AWAY + LIVE || end?.isOver() === false; i++) {
    await command('set-color', `shade${i}`);
    expected.push(`set-color=shade${i}`);
    await sleep(EVERY_MS);
  }
  await harm;
  await holds(() => device.texts.includes(expected.at(-1)), ARRIVAL_MS_MAX);
  await settled(() => device.messages.length);
  if (harmed) {
    inOrder(score, device.texts, expected);
    const seconds = (slowestMs / 1000).toFixed(1);
    score.check(
      producer.refused === 0 && slowestMs <= ARRIVAL_MS_MAX,
      'every command was acknowledged within seconds, none refused',
      `longest wait ${seconds} s`,
    );
  } else same(score, device.texts, expected, 'each new one arrives live, in order');
  await device.leave();

  score.note('away again; commands of three kinds');
  for (const value of ['red', 'green', 'blue']) await command('set-color', value);
  for (const value of ['10', '70', '30']) await command('set-volume', value);
  await command('reboot', 'now');
  await command('set-color', 'white');
  const again = await Consumer.subscribe(broker, `$q/${topic}`);
  await again.received(3);
  await settled(() => again.messages.length);
  const newest = ['reboot=now', 'set-color=white', 'set-volume=30'];
  same(score, again.texts.toSorted(), newest, 'on its return it gets one of each kind, the newest');
  const keys = again.messages.map((message) => message.key).toSorted();
  same(score, keys, ['reboot', 'set-color', 'set-volume'], 'with their user properties');
  await again.leave();

  await holds(() => new Set(onlooker.texts).size >= sent, 5_000);
  score.live(new Set(onlooker.texts).size, sent, harmed);
  await onlooker.leave();
  await producer.leave();
}

/** Values may be passed over while the device is cut off, and one that was in flight may come twice. */
function inOrder(score, actual, expected) {
  const places = actual.map((text) => expected.indexOf(text));
  const isOrdered = places.every((place, i) => place >= 0 && (i === 0 || place >= places[i - 1]));
  const twice = places.length - new Set(places).size;
  score.check(
    isOrdered && actual.at(-1) === expected.at(-1),
    'each new one arrives live, never an older after a newer, the newest in the end',
    `${new Set(places).size} of ${expected.length} values, ${twice} twice`,
  );
}

function different(texts) {
  return [...new Set(texts)];
}

function same(score, actual, expected, promise) {
  score.check(JSON.stringify(actual) === JSON.stringify(expected), promise, actual.join(', ') || 'nothing');
}
