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

/** Of one process, whatever it holds: the room that its heap has for garbage, the space where objects begin, and caches of
 * the storage that fill. A heap that is larger than its room may double. */
export const ROOM_MB = 160;
/** Of what is alive, likewise: the caches of recent entries (32 MB), of rows and of what sealed segments hold (8 each). */
export const ALIVE_MB = 48;

/** How memory grew from `before` on, in the largest process; `bytes` is what may be alive for what it holds. */
export function memoryBelow(figures, cluster, what, { now, before, bytes }) {
  const inMb = (values) => cluster.byNode(values.map((value) => value / MB));
  const most = (values, formerly) => Math.max(...values.map((value, i) => value - formerly[i])) / MB;
  figures.note(`resident with ${what}`, inMb(now.resident), 'MB');
  figures.note('  of it alive, on the heap and in buffers', inMb(now.alive), 'MB');
  figures.note('  resident when garbage was thrown away', inMb(now.collected), 'MB');
  const barMb = bytes / MB;
  figures.below('  alive above before', most(now.alive, before.alive), 'MB', Math.ceil(ALIVE_MB + barMb));
  figures.below('  resident above before', most(now.resident, before.resident), 'MB', Math.ceil(ROOM_MB + 2 * barMb));
}

function print(name, value, unit, verdict) {
  const digits = typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : String(value);
  console.log(`${name.padEnd(58)} ${digits.padStart(12)} ${unit.padEnd(8)} ${verdict}`);
}
