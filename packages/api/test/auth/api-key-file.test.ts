import { describe, expect, it } from '@jest/globals';
import { parseApiKeyFile } from '../../src/auth/api-key-file.ts';

describe('parseApiKeyFile', () => {
  it('reads keys with and without role and scopes, skipping blank lines', () => {
    expect(parseApiKeyFile('\uFEFFa:1\r\n\n  b:2:viewer \nc:3:publisher:connections,audit\n')).toEqual({
      ok: true,
      keys: [
        { key: 'a', secret: '1', role: 'administrator', scopes: null },
        { key: 'b', secret: '2', role: 'viewer', scopes: null },
        { key: 'c', secret: '3', role: 'publisher', scopes: ['connections', 'audit'] },
      ],
    });
  });

  it.each([
    ['hunter2', 'has no colon'],
    [':hunter2', 'has an empty key'],
    ['hunter2:', 'has an empty secret'],
    ['k:hunter2:root', 'names an unknown role'],
    ['k:hunter2:viewer:connections:x', 'has too many colons'],
    ['k:hunter2:ns:tenant::viewer', 'belongs to a namespace'],
    ['k: hunter2', 'contains a space'],
    ['# hunter2', 'starts with #'],
    ['k:hunter2:viewer:,', 'names an empty scope'],
    ['good:other', 'repeats a key of an earlier line'],
  ])('one wrong line (%j) refuses the file by number, without its content', (line, message) => {
    const parsed = parseApiKeyFile(`good:one\n\n${line}\n`);
    expect(parsed).toMatchObject({ ok: false, problems: [{ line: 3, message: expect.stringContaining(message) }] });
    expect(JSON.stringify(parsed)).not.toContain('hunter2');
  });
});
