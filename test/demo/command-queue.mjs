import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, Producer } from './clients.mjs';
import { settled } from './score.mjs';

const TOPIC = 'commands/device1';
const EVERY_MS = 500;
const AWAY = 6;
const LIVE = 4;

/** A device that was away gets the newest command of each kind, not the history; then each new one live. */
export async function commandQueue(broker, score) {
  score.title('3. Command queue: after an absence, only the newest value of each key');
  await broker.createQueue({
    topic_filter: TOPIC,
    is_lastvalue: true,
    key_expression: 'message.headers.properties.User-Property.key',
    dispatch_strategy: 'random',
  });
  const onlooker = await Consumer.subscribe(broker, TOPIC);
  const producer = await Producer.connect(broker);
  let sent = 0;
  const command = async (key, value) => {
    producer.send({ topic: TOPIC, text: `${key}=${value}`, key });
    await producer.acknowledged();
    sent++;
  };

  score.note(`the device is away; set-color is sent twice a second, ${AWAY} times`);
  for (let i = 1; i <= AWAY; i++) {
    await command('set-color', `shade${i}`);
    await sleep(EVERY_MS);
  }
  const device = await Consumer.subscribe(broker, `$q/${TOPIC}`);
  await device.received(1);
  await settled(() => device.messages.length);
  same(score, device.texts, [`set-color=shade${AWAY}`], 'on its return the device gets exactly the newest command');

  score.note(`${LIVE} more while it is there`);
  const expected = [`set-color=shade${AWAY}`];
  for (let i = AWAY + 1; i <= AWAY + LIVE; i++) {
    await command('set-color', `shade${i}`);
    expected.push(`set-color=shade${i}`);
    await sleep(EVERY_MS);
  }
  await device.received(expected.length);
  same(score, device.texts, expected, 'each new one arrives live, in order');
  await device.leave();

  score.note('away again; commands of three kinds');
  for (const value of ['red', 'green', 'blue']) await command('set-color', value);
  for (const value of ['10', '70', '30']) await command('set-volume', value);
  await command('reboot', 'now');
  await command('set-color', 'white');
  const again = await Consumer.subscribe(broker, `$q/${TOPIC}`);
  await again.received(3);
  await settled(() => again.messages.length);
  const newest = ['reboot=now', 'set-color=white', 'set-volume=30'];
  same(score, again.texts.toSorted(), newest, 'on its return it gets one of each kind, the newest');
  const keys = again.messages.map((message) => message.key).toSorted();
  same(score, keys, ['reboot', 'set-color', 'set-volume'], 'with their user properties');
  await again.leave();

  await onlooker.received(sent);
  score.check(onlooker.messages.length === sent, 'an ordinary subscriber got every command live', `${sent} commands`);
  await onlooker.leave();
  await producer.leave();
}

function same(score, actual, expected, promise) {
  score.check(JSON.stringify(actual) === JSON.stringify(expected), promise, actual.join(', ') || 'nothing');
}
