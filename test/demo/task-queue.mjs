import { Consumer } from './clients.mjs';
import { flow } from './flow.mjs';
import { holds, settled } from './score.mjs';

const JOBS = 500;
const WORKERS = 2;
/** Who is slower gets less, as it should; on a busy machine one worker's process may have the processor much less often. */
const SHARE_MIN = 0.1;

/** Two workers share the jobs of one queue: each job once, about half each, with or without a worker at the time. */
export async function taskQueue(broker, score) {
  score.title('1. Task queue: every job is done, the workers share them');
  const jobs = broker.topic('jobs');
  await broker.createQueue({ topic_filter: jobs, dispatch_strategy: 'random', is_lastvalue: false });
  const onlooker = await Consumer.subscribe(broker, jobs);

  score.note(`two workers subscribe to $q/${jobs}, one with MQTT 5, one with 3.1.1; a producer publishes`);
  const live = await Promise.all([5, 4].map((version) => Consumer.subscribe(broker, `$q/${jobs}`, { version })));
  const harm = broker.harm?.leader(`/${jobs}`);
  const first = await flow(broker, score, { name: 'live', topic: jobs, count: JOBS, harm });
  await reportShares(score, live, { ...first, name: 'live', harmed: harm !== undefined });
  for (const worker of live) await worker.leave();

  score.note(`the producer publishes ${JOBS} more and leaves; then two workers start`);
  const second = await flow(broker, score, { name: 'stored', topic: jobs, count: JOBS, version: 4 });
  // A job takes a moment, or the first worker would be done with all before the second has subscribed.
  const late = await Promise.all(
    [5, 4].map((version) => Consumer.connect(broker, `$q/${jobs}`, { seconds: 0.002, version })),
  );
  await Promise.all(late.map((worker) => worker.begin()));
  await reportShares(score, late, { ...second, name: 'stored', harmed: false });
  for (const worker of late) await worker.leave();

  const all = first.count + second.count;
  score.live(await liveCount(onlooker, all), all, onlooker.reconnections > 0 || harm !== undefined);
  await onlooker.leave();
}

async function liveCount(onlooker, count) {
  await holds(() => new Set(onlooker.texts).size >= count, 5_000);
  return new Set(onlooker.texts).size;
}

async function reportShares(score, workers, { name, count, harmed }) {
  const expected = new Set(Array.from({ length: count }, (_, i) => `${name} ${i}`));
  const texts = () => workers.flatMap((worker) => worker.texts);
  await holds(() => new Set(texts()).size >= count, 30_000);
  await settled(() => texts().length);
  score.delivered(`${name}: `, texts(), expected, { harmed, workers: WORKERS });
  const shares = workers.map((worker) => worker.messages.length);
  const fair = Math.min(...shares) >= SHARE_MIN * count;
  score.check(fair, `${name}: the two workers shared them`, shares.join(' and '));
  const qos = new Set(workers.flatMap((worker) => worker.messages.map((message) => message.qos)));
  score.check(qos.size === 1 && qos.has(1), `${name}: deliveries are acknowledged ones, though QoS 0 was asked`);
}
