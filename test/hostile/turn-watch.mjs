import { openSync, readSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

// Loaded into a broker before anything of its own: the longest turn of its event loop since the last SIGUSR2, in processor
// time. Two looks a millisecond apart have at most one long turn between them. What the threads of the storage and of the
// garbage collection do meanwhile holds nobody up, so the time is that of this thread alone, from the scheduler; Node.js 20
// knows that of the whole process only. Linux only.
const LOOK_MS = 1;

if (isMainThread) {
  const scheduled = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  const text = Buffer.alloc(64);
  let longestUs = 0;
  let before = look();
  setInterval(tick, LOOK_MS).unref();
  process.on('SIGUSR2', () => {
    tick();
    process.stderr.write(`longest turn ${Math.round(longestUs)} us\n`);
    longestUs = 0;
    before = look();
  });

  /** Microseconds on a processor: the first of the three numbers, in nanoseconds. */
  function look() {
    const length = readSync(scheduled, text, 0, text.length, 0);
    return Number.parseInt(text.latin1Slice(0, length), 10) / 1000;
  }

  function tick() {
    const now = look();
    longestUs = Math.max(longestUs, now - before);
    before = now;
  }
}
