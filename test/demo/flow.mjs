import { Producer } from './clients.mjs';

const HARMED_EVERY_MS = 10;
/** "Within seconds", also where a node is frozen: the others must first give it up. */
const SILENCE_MS_MAX = 10_000;

/**
 * A producer publishes `name 0`, `name 1`, … and leaves: `count` of them as fast as it can, or, while nodes are harmed,
 * a hundred a second until that is over.
 */
export async function flow(broker, score, { name, topic, count, harm, version = 5 }) {
  const producer = await Producer.connect(broker, { version });
  const make = (i) => ({ topic, text: `${name} ${i}` });
  if (harm === undefined) {
    for (let i = 0; i < count; i++) producer.send(make(i));
    await producer.acknowledged();
    await producer.leave();
    return { count };
  }
  const end = over(harm);
  const sent = await producer.sendWhile(end.isOver, make, { everyMs: HARMED_EVERY_MS });
  await harm;
  score.published(`${name}: `, producer, sent, SILENCE_MS_MAX);
  await producer.leave();
  return sent;
}

/** Whether a promise has come to its end, well or not. */
export function over(promise) {
  let isOver = false;
  promise.then(
    () => {
      isOver = true;
    },
    () => {
      isOver = true;
    },
  );
  return { isOver: () => isOver };
}
