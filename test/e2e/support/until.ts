/** Waits on a state. Says what it waited for when it does not come. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  withinMs = 10_000,
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) {
      throw new Error(`not within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * That nothing more comes is seen only by waiting: returns the count once it has stayed the same for `stillMs`.
 */
export async function settled(count: () => number, stillMs = 200): Promise<number> {
  for (;;) {
    const before = count();
    await new Promise((resolve) => setTimeout(resolve, stillMs));
    if (count() === before) return before;
  }
}

export function numbered(count: number, prefix = ''): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`);
}

/** For comparing what several consumers got with what was published. */
export function sorted(texts: readonly string[]): string[] {
  return [...texts].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}
