import { setTimeout as sleep } from 'node:timers/promises';

const SETTLED_MS = 400;
/** A node is killed, a node is frozen. */
const HARMS = 2;
const WINDOW = 10;
/** What a producer publishes without waiting. */
const OUTSTANDING_MAX = 100;

/** What was promised, and whether it held; printed as it comes and once more at the end. */
export class Score {
  #checks = [];
  #title = '';

  title(text) {
    this.#title = text;
    process.stdout.write(`\n${text}\n`);
  }

  note(text) {
    process.stdout.write(`    ${text}\n`);
  }

  check(ok, promise, seen) {
    this.#checks.push({ ok, promise, title: this.#title });
    process.stdout.write(`  ${ok ? '✓' : '✗'} ${promise}${seen === undefined ? '' : ` (${seen})`}\n`);
  }

  /** That a producer had its acknowledgements through everything that happened to the nodes. */
  published(name, producer, { count, silenceMs }, silenceMsMax) {
    const { published, refused } = producer;
    this.check(
      published === count && refused === 0,
      `${name}every publish was acknowledged, none refused`,
      `${published} of ${count}`,
    );
    this.check(
      silenceMs <= silenceMsMax,
      `${name}publishing went on within seconds`,
      `longest wait for an acknowledgement ${silenceMs} ms`,
    );
  }

  /**
   * That workers got everything: exactly once, or, when nodes were harmed, at least once, and twice only what may have
   * been under way at one of the two moments: the windows of the workers, and what the producer had no answer to.
   */
  delivered(name, texts, expected, { harmed, workers }) {
    const seen = new Set(texts);
    const missing = [...expected].filter((text) => !seen.has(text)).length;
    const twice = texts.length - seen.size;
    const foreign = [...seen].filter((text) => !expected.has(text)).length;
    const figures = `${texts.length} arrived, ${missing} missing, ${twice} twice`;
    const twiceMax = harmed ? HARMS * (workers * WINDOW + OUTSTANDING_MAX) : 0;
    const ok = missing === 0 && foreign === 0 && twice <= twiceMax;
    if (harmed) this.check(ok, `${name}none of ${expected.size} jobs was lost, twice came what was in flight`, figures);
    else this.check(ok, `${name}each of ${expected.size} jobs arrived exactly once`, figures);
  }

  /** An ordinary subscription at QoS 0 is at most once: what came while its gateway was dead is not sent again. */
  live(seen, count, harmed) {
    const figures = `${seen} of ${count}`;
    if (harmed) this.note(`an ordinary subscriber saw live, at most once: ${figures}`);
    else this.check(seen === count, 'an ordinary subscriber of the topic got every message live', figures);
  }

  /** Says what was proved, and what was not; true when everything held. */
  summary(clients) {
    const broken = this.#checks.filter((check) => !check.ok);
    const held = this.#checks.length - broken.length;
    process.stdout.write(`\n${held} of ${this.#checks.length} promises held, shown with ${clients}:\n`);
    for (const title of new Set(this.#checks.map((check) => check.title))) {
      const all = this.#checks.filter((check) => check.title === title);
      const failed = all.filter((check) => !check.ok);
      process.stdout.write(
        `  ${failed.length === 0 ? '✓' : '✗'} ${title} (${all.length - failed.length} of ${all.length})\n`,
      );
      for (const { promise } of failed) process.stdout.write(`      ✗ ${promise}\n`);
    }
    return broken.length === 0 && this.#checks.length > 0;
  }
}

/**
 * Waits until `count` gives the same number for a while: that nothing more comes can be seen only by waiting. Gives up
 * after `withinMs`.
 */
export async function settled(count, withinMs = 30_000) {
  const endMs = performance.now() + withinMs;
  let before = -1;
  while (before !== count() && performance.now() < endMs) {
    before = count();
    await sleep(SETTLED_MS);
  }
  return before;
}

/** Waits until `condition` holds; false when it did not in time. */
export async function holds(condition, withinMs = 20_000) {
  const endMs = performance.now() + withinMs;
  while (!condition() && performance.now() < endMs) await sleep(10);
  return condition();
}
