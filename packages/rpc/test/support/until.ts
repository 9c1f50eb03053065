/** Waits for a state, a turn of the event loop at a time. */
export async function until(reached: () => boolean, patienceMs = 8_000): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  while (!reached()) {
    if (performance.now() > deadlineMs) throw new Error(`not reached within ${patienceMs} ms: ${reached}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
