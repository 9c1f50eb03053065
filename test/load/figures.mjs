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

function print(name, value, unit, verdict) {
  const digits = typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : String(value);
  console.log(`${name.padEnd(58)} ${digits.padStart(12)} ${unit.padEnd(8)} ${verdict}`);
}
