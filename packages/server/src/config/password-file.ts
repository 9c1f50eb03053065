import { type KeptSecret, parseKeptSecret } from '@sluice/gateway/auth/password-table';

export interface MqttUser {
  readonly username: string;
  readonly secret: KeptSecret;
}

/** It begins like a hash. */
export const BROKEN_HASH = 'has a hash that cannot be read: make it anew with "sluice passwd"';

export type ParsedPasswordFile =
  | { ok: true; users: MqttUser[] }
  | { ok: false; problems: { line: number; message: string }[] };

/** Whether a line of the file can begin with it, and is then that user's: comments begin with `#`, files with U+FEFF. */
export function isFileUsername(username: string): boolean {
  return username !== '' && !/^[#\uFEFF]|[:\r\n\0]/.test(username);
}

/**
 * MQTT users, `username:password` a line; the password may contain colons, the name may not. What `sluice passwd` makes of
 * a password may stand in its place. Blank lines and lines that
 * begin with `#` are skipped. One wrong line refuses the file, and no message repeats what stands in it.
 */
export function parsePasswordFile(text: string): ParsedPasswordFile {
  const users = new Map<string, MqttUser>();
  const problems: { line: number; message: string }[] = [];
  for (const [i, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = raw.replace(/\r$/, '');
    if (line.trim() === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const username = line.slice(0, Math.max(colon, 0));
    const password = line.slice(colon + 1);
    const secret = parseKeptSecret(password);
    let message: string | undefined;
    if (colon < 0) message = 'has no colon: expected username:password';
    else if (username === '' || password === '')
      message = `has an empty ${username === '' ? 'username' : 'password'}: expected username:password`;
    else if (users.has(username)) message = 'repeats the user of an earlier line';
    else if (secret === undefined) message = BROKEN_HASH;
    if (message === undefined && secret !== undefined) users.set(username, { username, secret });
    else if (message !== undefined) problems.push({ line: i + 1, message });
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, users: [...users.values()] };
}
