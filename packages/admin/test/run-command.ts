import { Command } from 'commander';
import { NOW_MS } from '../../api/test/api-fixture.ts';
import type { CliHost } from '../src/cli-host.ts';

export interface Ran {
  code: number;
  out: string;
  err: string;
  asked: string[];
}

export interface RunOptions {
  env?: Record<string, string>;
  interactive?: boolean;
  answer?: string;
  /** To each question in turn that is answered unseen; `answer` after the last. */
  secrets?: readonly string[];
  /** By path. */
  files?: Record<string, string>;
  /** What becomes of the world while the command waits. */
  pausing?: () => void | Promise<void>;
  /** Of the terminal; without, what is printed goes to a file. */
  rows?: number;
}

class Exited extends Error {}

/** Runs `sluice <words> <line>` with a terminal in memory. */
export async function runCommand(
  register: (program: Command, host: CliHost) => Command,
  line: readonly string[],
  { env = {}, interactive = false, answer = '', secrets = [], files = {}, pausing = () => {}, rows }: RunOptions = {},
): Promise<Ran> {
  let nowMs = NOW_MS;
  const ran: Ran = { code: 0, out: '', err: '', asked: [] };
  const host: CliHost = {
    env,
    interactive,
    columns: 80,
    rows,
    nowMs: () => nowMs,
    pause: async (ms) => {
      nowMs += ms;
      await pausing();
    },
    readFile: async (path) => {
      const text = files[path];
      if (text === undefined) throw new Error('no such file');
      return text;
    },
    print: (text) => {
      ran.out += text;
    },
    printError: (text) => {
      ran.err += text;
    },
    ask: async (question) => {
      ran.asked.push(question);
      return answer;
    },
    askSecret: async (question) => {
      ran.asked.push(question);
      return secrets[ran.asked.length - 1] ?? answer;
    },
    setExitCode: (code) => {
      ran.code = code;
    },
    exit: (code) => {
      ran.code = code;
      throw new Exited();
    },
  };
  const program = new Command('sluice');
  register(program, host);
  try {
    await program.parseAsync(line, { from: 'user' });
  } catch (error) {
    if (!(error instanceof Exited)) throw error;
  }
  return ran;
}
