import { Consumer, Producer } from './clients.mjs';
import { holds, settled } from './score.mjs';

const JOBS = 500;

/** Two workers share the jobs of one queue: each job once, about half each, with or without a worker at the time. */
export async function taskQueue(broker, score) {
  score.title('1. Task queue: every job is done once, the workers share them');
  await broker.createQueue({ topic_filter: 'jobs', dispatch_strategy: 'random', is_lastvalue: false });
  const onlooker = await Consumer.subscribe(broker, 'jobs');

  score.note(`two workers subscribe to $q/jobs, a producer publishes ${JOBS} jobs`);
  const live = await Promise.all([Consumer.subscribe(broker, '$q/jobs'), Consumer.subscribe(broker, '$q/jobs')]);
  await publishJobs(broker, 'live');
  await reportShares(score, live, 'live', 0.35);
  for (const worker of live) await worker.leave();

  score.note(`the producer publishes ${JOBS} more and leaves; then two workers start`);
  await publishJobs(broker, 'stored');
  // A job takes a moment, or the first worker would be done with all before the second has subscribed.
  const work = { seconds: 0.002 };
  const late = await Promise.all([
    Consumer.connect(broker, '$q/jobs', work),
    Consumer.connect(broker, '$q/jobs', work),
  ]);
  await Promise.all(late.map((worker) => worker.begin()));
  await reportShares(score, late, 'stored', 0.25);
  for (const worker of late) await worker.leave();

  await onlooker.received(2 * JOBS);
  const seen = new Set(onlooker.texts).size;
  score.check(
    seen === 2 * JOBS,
    'an ordinary subscriber of the topic got every message live',
    `${seen} of ${2 * JOBS}`,
  );
  await onlooker.leave();
}

async function publishJobs(broker, name) {
  const producer = await Producer.connect(broker);
  for (let i = 0; i < JOBS; i++) producer.send({ topic: 'jobs', text: `${name} ${i}` });
  await producer.acknowledged();
  await producer.leave();
}

async function reportShares(score, workers, name, shareMin) {
  const total = () => workers[0].messages.length + workers[1].messages.length;
  await holds(() => total() >= JOBS);
  await settled(total);
  const texts = workers.flatMap((worker) => worker.texts);
  const expected = new Set(Array.from({ length: JOBS }, (_, i) => `${name} ${i}`));
  const missing = [...expected].filter((text) => !texts.includes(text)).length;
  const twice = texts.length - new Set(texts).size;
  const foreign = texts.filter((text) => !expected.has(text)).length;
  const shares = workers.map((worker) => worker.messages.length);
  score.check(
    missing === 0 && twice === 0 && foreign === 0,
    `${name}: each of ${JOBS} jobs arrived exactly once`,
    `${texts.length} arrived, ${missing} missing, ${twice} twice`,
  );
  const fair = Math.min(...shares) >= shareMin * JOBS;
  score.check(fair, `${name}: the two workers did about half each`, shares.join(' and '));
  const qos = new Set(workers.flatMap((worker) => worker.messages.map((message) => message.qos)));
  score.check(qos.size === 1 && qos.has(1), `${name}: deliveries are acknowledged ones, though QoS 0 was asked`);
}
