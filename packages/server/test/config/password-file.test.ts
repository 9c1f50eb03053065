import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isFileUsername, parsePasswordFile } from '../../src/config/password-file.ts';

test.each(['', '#ann', '\uFEFFann', 'a:b', 'a\nb', 'a\0'])(
  '%j is no name for a file: its line would be another one, or none',
  (name) => {
    expect(isFileUsername(name)).toBe(false);
  },
);

test('every other name is whose line it is', () => {
  const name = fc.string({ unit: 'binary', minLength: 1 }).filter(isFileUsername);
  fc.assert(
    fc.property(name, (username) => {
      const parsed = parsePasswordFile(`${username}:secret\n`);
      expect(parsed).toEqual({ ok: true, users: [{ username, secret: { plain: 'secret' } }] });
    }),
  );
});
