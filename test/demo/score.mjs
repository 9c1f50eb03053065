import { setTimeout as sleep } from 'node:timers/promises';

const SETTLED_MS = 400;

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
