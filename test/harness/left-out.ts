import { spawnSync } from 'node:child_process';
import { test } from '@jest/globals';
import { pythonWithPaho } from './python-with-paho.mjs';

/** A program of the machine, not of this repository. */
export interface Tool {
  name: string;
  /** What to type to get it. */
  install: string;
  isPresent(): boolean;
}

export const MOSQUITTO: Tool = {
  name: 'mosquitto_pub and mosquitto_sub',
  install: 'apt-get install mosquitto-clients',
  isPresent: () => starts('mosquitto_pub', '--help') && starts('mosquitto_sub', '--help'),
};

export const PAHO: Tool = {
  name: 'the Python client paho',
  install: 'apt-get install python3-paho-mqtt',
  isPresent: () => pythonWithPaho() !== undefined,
};

export const MKFS: Tool = {
  name: 'mkfs.ext4',
  install: 'apt-get install e2fsprogs',
  isPresent: () => starts('mkfs.ext4', '-V'),
};

export const PROMTOOL: Tool = {
  name: 'promtool',
  install: 'apt-get install prometheus',
  isPresent: () => starts('promtool', '--version'),
};

export const PROMETHEUS: Tool = {
  name: 'prometheus',
  install: 'apt-get install prometheus',
  isPresent: () => starts('prometheus', '--version'),
};

/**
 * A test that needs a tool: it runs where the tool is, and elsewhere counts as skipped under a name that says what is
 * missing, which the end of the run repeats. A test that silently does nothing is worse than none.
 */
export function testWith(
  tools: Tool | Tool[],
  name: string,
  run: () => Promise<void> | void,
  timeoutMs?: number,
): void {
  const missing = (Array.isArray(tools) ? tools : [tools]).filter((tool) => !tool.isPresent());
  if (missing.length === 0) {
    test(name, run, timeoutMs);
    return;
  }
  const reason = missing.map((tool) => `${tool.name} is missing (${tool.install})`).join(', ');
  test.skip(`${name} [left out: ${reason}]`, run, timeoutMs);
}

/** `PATH` of a plain user lacks where Debian keeps the file system tools. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

function starts(command: string, argument: string): boolean {
  return spawnSync(command, [argument], { stdio: 'ignore', env: { ...process.env, PATH } }).error === undefined;
}
