import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** Swallows what the line editor would show: the letters that are typed. */
class Unseen extends Writable {
  override _write(_chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
}

/**
 * A line that must not be seen: somebody may look over a shoulder, or scroll back later. Where no terminal is, there is
 * nobody to be asked and nothing to be shown: the first line is taken. An input that ends without one is an empty answer.
 */
export async function askSecret(
  question: string,
  { input, output }: { input: NodeJS.ReadableStream & { isTTY?: boolean }; output: NodeJS.WritableStream },
): Promise<string> {
  const isTerminal = input.isTTY === true;
  if (isTerminal) output.write(question);
  const lines = createInterface({ input, output: new Unseen(), terminal: isTerminal, historySize: 0 });
  try {
    return await lineOf(lines, '');
  } finally {
    lines.close();
    if (isTerminal) output.write('\n');
  }
}

/** The next line; empty when the input ends without one, or with Ctrl-C. */
export async function lineOf(lines: Interface, question: string): Promise<string> {
  try {
    return await Promise.race([lines.question(question), once(lines, 'close').then(() => '')]);
  } catch (error) {
    if ((error as Error).name === 'AbortError') return '';
    throw error;
  }
}
