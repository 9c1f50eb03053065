import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { setTimeout } from 'node:timers/promises';
import { askSecret, lineOf } from './ask-secret.ts';

/** What the commands need of the process they run in; tests bring their own. */
export interface CliHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a person sits at the other end and can be asked. */
  readonly interactive: boolean;
  /** Of the terminal as it is now; a usual one where there is none. */
  readonly columns: number;
  /** Undefined where what is printed goes to no terminal: nothing can be taken back there. */
  readonly rows: number | undefined;
  nowMs(): number;
  pause(ms: number): Promise<void>;
  readFile(path: string): Promise<string>;
  print(text: string): void;
  printError(text: string): void;
  ask(question: string): Promise<string>;
  /** Nothing of the answer is shown. */
  askSecret(question: string): Promise<string>;
  setExitCode(code: number): void;
  /** For the argument parser, which cannot go on after a mistake. */
  exit(code: number): never;
}

export const processHost: CliHost = {
  env: process.env,
  interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
  get columns() {
    return process.stdout.columns ?? 80;
  },
  get rows() {
    return process.stdout.isTTY === true ? process.stdout.rows : undefined;
  },
  nowMs: () => Date.now(),
  pause: (ms) => setTimeout(ms),
  readFile: (path) => readFile(path, 'utf8'),
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
  async ask(question) {
    // On standard error, so that what is piped on from standard output stays clean.
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return await lineOf(lines, question);
    } finally {
      lines.close();
    }
  },
  askSecret: (question) => askSecret(question, { input: process.stdin, output: process.stderr }),
  setExitCode: (code) => {
    process.exitCode = code;
  },
  exit: (code) => process.exit(code),
};
