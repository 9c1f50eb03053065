import { Consumer, Producer } from './clients.mjs';
import { flow } from './flow.mjs';
import { holds, settled } from './score.mjs';

const JOBS = 300;
const WINDOW = 10;
const SLOW_SECONDS = 0.5;
const WORKERS = 2;
const IMAGES = 30;
const IMAGE_BYTES = 300 * 1024;
/** A dead worker's jobs come back when the broker sees its connection break, which is at once. */
const TAKEOVER_MS_MAX = 2_000;

/** One slow worker, or a dead one, holds up no more than its window. */
export async function slowWorker(broker, score) {
  score.title('2. Slow worker: it holds no more than its window, the others take the rest');
  await slowJobs(broker, score);
  await killedWorker(broker, score);
}

async function slowJobs(broker, score) {
  const tasks = broker.topic('tasks');
  await broker.createQueue({ topic_filter: tasks, dispatch_strategy: 'least_inflight', is_lastvalue: false });
  const onlooker = await Consumer.subscribe(broker, tasks);
  const slow = await Consumer.subscribe(broker, `$q/${tasks}`, { seconds: SLOW_SECONDS, version: 4 });
  const fast = await Consumer.subscribe(broker, `$q/${tasks}`);
  score.note(`one worker (MQTT 3.1.1) takes ${SLOW_SECONDS} s a job, one (MQTT 5) no time; a producer publishes`);
  const harm = broker.harm?.gateway(`/${tasks}`);
  const { count } = await flow(broker, score, { name: 'task', topic: tasks, count: JOBS, harm });
  const texts = () => [...fast.texts, ...slow.texts];
  const different = () => new Set(texts()).size;

  // Everything but what the slow one holds is done: the rest can be no more than its window.
  await holds(() => different() >= count - WINDOW, 30_000);
  await settled(() => fast.messages.length);
  const done = new Set(fast.texts).size;
  // What it has begun and not finished is one of those it holds.
  const held = count - different() + 1;
  score.check(
    held <= WINDOW,
    `the slow worker holds no more than its window of ${WINDOW}`,
    `${Math.max(held, 0)} jobs`,
  );
  score.check(done >= 0.85 * count, 'the fast worker took nearly all', `${done} of ${count}`);
  await holds(() => different() >= count);
  const expected = new Set(Array.from({ length: count }, (_, i) => `task ${i}`));
  score.delivered('', texts(), expected, { harmed: harm !== undefined, workers: WORKERS });
  await holds(() => new Set(onlooker.texts).size >= count, 5_000);
  score.live(new Set(onlooker.texts).size, count, harm !== undefined);
  for (const client of [onlooker, slow, fast]) await client.leave();
}

async function killedWorker(broker, score) {
  const images = broker.topic('images');
  await broker.createQueue({ topic_filter: `${images}/+`, dispatch_strategy: 'least_inflight', is_lastvalue: false });
  const dying = await Consumer.subscribe(broker, `$q/${images}/+`, { stuck: true, version: 4 });
  const living = await Consumer.subscribe(broker, `$q/${images}/+`);
  score.note(`${IMAGES} images of 300 KB; one worker begins its first and never finishes`);
  const producer = await Producer.connect(broker);
  for (let i = 0; i < IMAGES; i++)
    producer.send({ topic: `${images}/camera${i % 3}`, text: `image ${i}`, size: IMAGE_BYTES });
  await producer.acknowledged();
  await producer.leave();
  await dying.received(1);
  const [unfinished] = dying.texts;
  const before = await settled(() => living.messages.length);
  const held = IMAGES - before;
  score.check(
    held >= 1 && held <= WINDOW,
    `the worker that is stuck holds no more than its window of ${WINDOW}`,
    `${held} images`,
  );

  score.note('it is killed before it acknowledged');
  const killedMs = performance.now();
  await dying.kill();
  await holds(() => new Set(living.texts).size >= IMAGES);
  const tookMs = Math.round(performance.now() - killedMs);
  const texts = living.texts;
  score.check(texts.includes(unfinished), 'another worker got the unfinished job', unfinished);
  score.check(
    new Set(texts).size === IMAGES && tookMs < TAKEOVER_MS_MAX,
    'and all others it held, at once',
    `${tookMs} ms`,
  );
  const whole = living.messages.every((message) => message.size === IMAGE_BYTES);
  score.check(whole && texts.length === IMAGES, 'every image arrived whole, and once', `${texts.length} arrived`);
  await living.leave();
}
