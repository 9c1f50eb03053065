import { type JwtKey, keySet, pemKey, secretKey } from '@sluice/gateway/auth/jwt-keys';
import { parseKeptSecret } from '@sluice/gateway/auth/password-table';
import type { ScopedRules } from '@sluice/gateway/auth/scoped-rules';
import type { ConfigProblem, Layer } from './layer.ts';
import { readNamedFile } from './named-file.ts';
import { BROKEN_HASH, type MqttUser, parsePasswordFile } from './password-file.ts';
import { parseRulesFile } from './rules-file.ts';
import type { WrittenConfig } from './schema.ts';

/** Who may come in and what they may do, as the configuration and the files it names have it at one moment. */
export interface Access {
  readonly users: readonly MqttUser[];
  readonly jwtKeys: readonly JwtKey[];
  readonly rules: readonly ScopedRules[];
}

/** The files of it, which change while the node runs. */
export class AccessFiles {
  readonly paths: readonly string[];
  readonly #read: (problems: ConfigProblem[]) => Access;

  constructor(written: WrittenConfig, settings: Layer, readFile: (path: string) => string) {
    const { auth, jwt, authorization } = written;
    const named = [auth.passwordFile, jwt.secretFile, jwt.publicKeyFile, jwt.jwksFile, authorization.rulesFile];
    this.paths = named.filter((path) => path !== undefined);
    this.#read = (problems) => readAccess(written, settings, readFile, problems);
  }

  read(): { ok: true; content: Access } | { ok: false; problems: ConfigProblem[] } {
    const problems: ConfigProblem[] = [];
    const content = this.#read(problems);
    return problems.length === 0 ? { ok: true, content } : { ok: false, problems };
  }
}

/** Worth nothing when there are more problems than before. */
export function readAccess(
  written: WrittenConfig,
  settings: Layer,
  readFile: (path: string) => string,
  problems: ConfigProblem[],
): Access {
  return {
    users: gatherUsers(written, settings, readFile, problems),
    jwtKeys: gatherJwtKeys(written, settings, readFile, problems),
    rules: gatherRules(written, settings, readFile, problems),
  };
}

function gatherUsers(
  written: WrittenConfig,
  settings: Layer,
  readFile: (path: string) => string,
  problems: ConfigProblem[],
): MqttUser[] {
  const users = new Map<string, MqttUser>();
  for (const [i, { username, password }] of written.auth.users.entries()) {
    const secret = parseKeptSecret(password);
    if (secret !== undefined) users.set(username, { username, secret });
    else {
      const origin = settings.get('auth.users')?.origin ?? '';
      problems.push({ key: 'auth.users', origin, message: `entry ${i + 1} ${BROKEN_HASH}`, hint: '' });
    }
  }
  const path = written.auth.passwordFile;
  if (path === undefined) return [...users.values()];
  const key = 'auth.passwordFile';
  const text = readNamedFile(readFile, path, key, settings.get(key)?.origin ?? '', problems);
  if (text === undefined) return [];
  const parsed = parsePasswordFile(text);
  if (!parsed.ok) {
    for (const { line, message } of parsed.problems)
      problems.push({ key, origin: `${path}:${line}`, message: `= "${path}": line ${line} ${message}`, hint: '' });
    return [];
  }
  if (parsed.users.length === 0)
    problems.push({
      key,
      origin: path,
      message: 'names a file without a single user',
      hint: 'Add a line username:password, or remove the setting',
    });
  for (const user of parsed.users) {
    if (users.has(user.username)) {
      problems.push({
        key,
        origin: path,
        message: `names the user ${JSON.stringify(user.username)}, who is in auth.users as well`,
        hint: 'Keep one of the two',
      });
    }
    users.set(user.username, user);
  }
  return [...users.values()];
}

function gatherJwtKeys(
  { jwt }: WrittenConfig,
  settings: Layer,
  readFile: (path: string) => string,
  problems: ConfigProblem[],
): JwtKey[] {
  const keys: JwtKey[] = [];
  for (const [name, read] of [
    ['secretFile', (text: string) => [secretKey(Buffer.from(text.replace(/\r?\n$/, ''), 'utf8'))]],
    ['publicKeyFile', (text: string) => [pemKey(text)]],
    ['jwksFile', keySet],
  ] as const) {
    const path = jwt[name];
    if (path === undefined) continue;
    const key = `jwt.${name}`;
    const origin = settings.get(key)?.origin ?? '';
    const text = readNamedFile(readFile, path, key, origin, problems);
    if (text === undefined) continue;
    try {
      keys.push(...read(text));
    } catch (error) {
      problems.push({ key, origin, message: `= "${path}" ${(error as Error).message}`, hint: '' });
    }
  }
  return keys;
}

function gatherRules(
  written: WrittenConfig,
  settings: Layer,
  readFile: (path: string) => string,
  problems: ConfigProblem[],
): readonly ScopedRules[] {
  const path = written.authorization.rulesFile;
  if (path === undefined) return [];
  const key = 'authorization.rulesFile';
  const text = readNamedFile(readFile, path, key, settings.get(key)?.origin ?? '', problems);
  if (text === undefined) return [];
  const parsed = parseRulesFile(text);
  if (parsed.ok) return parsed.rules;
  for (const { line, message } of parsed.problems) {
    problems.push({ key, origin: `${path}:${line}`, message: `= "${path}": ${message}`, hint: '' });
  }
  return [];
}
