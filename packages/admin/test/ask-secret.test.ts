import { PassThrough } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { askSecret } from '../src/ask-secret.ts';

function streams(isTTY: boolean) {
  const [input, output] = [Object.assign(new PassThrough(), { isTTY }), new PassThrough()];
  const seen = (): string => (output.read() as Buffer | null)?.toString() ?? '';
  return { input, output, seen };
}

describe('a password at a terminal', () => {
  test('is taken, with what was corrected, and not a letter of it is shown', async () => {
    const { input, output, seen } = streams(true);
    const asked = askSecret('Password: ', { input, output });
    input.write('lovelacx\x7fe\r');
    expect(await asked).toBe('lovelace');
    expect(seen()).toBe('Password: \n');
  });

  test('Ctrl-C is an empty one', async () => {
    const { input, output } = streams(true);
    const asked = askSecret('Password: ', { input, output });
    input.write('love\x03');
    expect(await asked).toBe('');
  });
});

describe('a password from a file', () => {
  test('is the first line, and nothing is asked', async () => {
    const { input, output, seen } = streams(false);
    input.end('lovelace\nmore\n');
    expect(await askSecret('Password: ', { input, output })).toBe('lovelace');
    expect(seen()).toBe('');
  });

  test('that is empty is an empty one', async () => {
    const { input, output } = streams(false);
    input.end();
    expect(await askSecret('Password: ', { input, output })).toBe('');
  });
});
