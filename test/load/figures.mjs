/** What a run measured against its bars; the exit code says whether every bar was held. */
export class Figures {
  #missed = 0;

  note(name, value, unit = '') {
    print(name, value, unit, '');
  }

  below(name, value, unit, bar) {
    const held = value < bar;
    if (!held) this.#missed++;
    print(name, value, unit, `${held ? 'ok  ' : 'MISS'} bar < ${bar} ${unit}`);
  }

  equal(name, value, wanted) {
    const held = value === wanted;
    if (!held) this.#missed++;
    print(name, value, '', `${held ? 'ok  ' : 'MISS'} must be ${wanted}`);
  }

  finish() {
    console.log(this.#missed === 0 ? 'every bar was held' : `${this.#missed} bars were missed`);
    process.exitCode = this.#missed === 0 ? 0 : 1;
  }
}

export const MB = 1024 * 1024;

/** Of one process, whatever it holds, at most: the room that its heap has for garbage (96 MB), the space where objects begin,
 * and what the storage keeps. A heap that is larger than its room may double. */
export const ROOM_MB = 128;
/** Caches, of which each has this bound: messages lately written or read (64 MB), matches of topics (20), rows (8), and rows of
 * sealed segments (8). */
const CACHES_MB = 100;

/** How memory grew from `before` on, in the largest process; `bytes` is what may be alive for what it holds. */
export function memoryBelow(figures, cluster, what, { now, before, bytes }) {
  const inMb = (values) => cluster.byNode(values.map((value) => value / MB));
  const most = (values, formerly) => Math.max(...values.map((value, i) => value - formerly[i])) / MB;
  figures.note(`resident with ${what}`, inMb(now.resident), 'MB');
  figures.note('  of it alive, on the heap and in buffers', inMb(now.alive), 'MB');
  figures.note('  resident when garbage was thrown away', inMb(now.collected), 'MB');
  const barMb = bytes / MB;
  const aliveMb = Math.ceil(CACHES_MB + barMb);
  figures.below('  alive above before', most(now.alive, before.alive), 'MB', aliveMb);
  figures.below(
    '  resident above before',
    most(now.resident, before.resident),
    'MB',
    Math.ceil(aliveMb + ROOM_MB + barMb),
  );
}

function print(name, value, unit, verdict) {
  const digits = typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : String(value);
  console.log(`${name.padEnd(58)} ${digits.padStart(12)} ${unit.padEnd(8)} ${verdict}`);
}
