// Those of the beginning: a test may have stopped the others meanwhile.
const later = setTimeout;
const nowMs = performance.now.bind(performance);

/** Waits for a state, a turn of the event loop at a time. */
export async function until(reached: () => boolean, patienceMs = 8_000): Promise<void> {
  const deadlineMs = nowMs() + patienceMs;
  while (!reached()) {
    if (nowMs() > deadlineMs) throw new Error(`not reached within ${patienceMs} ms: ${reached}`);
    await new Promise((resolve) => later(resolve, 2));
  }
}
