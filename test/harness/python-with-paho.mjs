import { spawnSync } from 'node:child_process';

/** Debian's paho belongs to Debian's Python, which is not always the first in PATH. */
const CANDIDATES = [process.env.PYTHON, 'python3', '/usr/bin/python3'];

let found;
let searched = false;

/** The command of a Python that has paho; undefined when none has. */
export function pythonWithPaho() {
  if (!searched) {
    searched = true;
    found = CANDIDATES.find(
      (python) =>
        python !== undefined && spawnSync(python, ['-c', 'import paho.mqtt.client'], { stdio: 'ignore' }).status === 0,
    );
  }
  return found;
}
