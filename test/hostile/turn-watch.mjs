import { openSync, readSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

// Loaded into a broker before anything of its own: the longest turn of its event loop since the last SIGUSR2, in processor
// time. Two looks a millisecond apart have at most one long turn between them. What the threads of the storage and of the
// garbage collection do meanwhile holds nobody up, so the time is that of this thread alone, from the scheduler; Node.js 20
// knows that of the whole process only. Linux only.
//
// How often garbage was collected in it is told beside it: not for how long, which Node.js knows by the clock only.
const LOOK_MS = 1;

if (isMainThread) {
  const scheduled = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  const text = Buffer.alloc(64);
  let longest = { us: 0, fromMs: 0, toMs: 0 };
  let before = look();
  let beforeMs = performance.now();
  let collections = [];
  new PerformanceObserver((list) => collections.push(...list.getEntries())).observe({ entryTypes: ['gc'] });
  setInterval(tick, LOOK_MS).unref();
  process.on('SIGUSR2', () => {
    tick();
    const { us, fromMs, toMs } = longest;
    // The observer hears of a collection in a turn after it.
    setTimeout(() => {
      const within = collections.filter(({ startTime }) => startTime >= fromMs && startTime <= toMs).length;
      collections = [];
      longest = { us: 0, fromMs: 0, toMs: 0 };
      process.stderr.write(`longest turn ${Math.round(us)} us, ${within} collections\n`);
      before = look();
      beforeMs = performance.now();
    }, 2);
  });

  /** Microseconds on a processor: the first of the three numbers, in nanoseconds. */
  function look() {
    const length = readSync(scheduled, text, 0, text.length, 0);
    return Number.parseInt(text.latin1Slice(0, length), 10) / 1000;
  }

  function tick() {
    const now = look();
    const nowMs = performance.now();
    if (now - before > longest.us) longest = { us: now - before, fromMs: beforeMs, toMs: nowMs };
    before = now;
    beforeMs = nowMs;
  }
}
