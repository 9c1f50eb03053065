import { isMainThread } from 'node:worker_threads';

// Loaded into a broker before anything of its own: the longest turn of its event loop since the last SIGUSR2, in processor
// time. Two looks a millisecond apart have at most one long turn between them. A thread's own time cannot be read from
// Node.js: a turn is no longer than it took on the clock, and no more than the whole process used, so the smaller of both
// is a bound from above whoever else runs on the machine.
const LOOK_MS = 1;

if (isMainThread) {
  let longestUs = 0;
  let before = look();
  setInterval(tick, LOOK_MS).unref();
  process.on('SIGUSR2', () => {
    tick();
    process.stderr.write(`longest turn ${Math.round(longestUs)} us\n`);
    longestUs = 0;
    before = look();
  });

  function look() {
    const { user, system } = process.cpuUsage();
    return { wallUs: performance.now() * 1000, cpuUs: user + system };
  }

  function tick() {
    const now = look();
    longestUs = Math.max(longestUs, Math.min(now.wallUs - before.wallUs, now.cpuUs - before.cpuUs));
    before = now;
  }
}
