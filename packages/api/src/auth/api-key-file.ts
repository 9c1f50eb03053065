/**
 * The bootstrap file of API keys: one `key:secret[:role[:scope,scope]]` a line. Reading fails closed: one wrong line
 * and no key of the file counts, because a file that half loads locks somebody out or, worse, lets somebody in who was
 * meant to be a viewer. Messages give the line's number and never anything of its content.
 */
const API_ROLES = ['administrator', 'viewer', 'publisher'] as const;
export type ApiRole = (typeof API_ROLES)[number];

export interface ApiKeyRecord {
  key: string;
  secret: string;
  role: ApiRole;
  /** null: every scope. */
  scopes: readonly string[] | null;
}

/** What calls need that name no other: those of queues and of the cluster. */
export const QUEUE_SCOPE = 'connections';

export type ParsedApiKeyFile =
  | { ok: true; keys: ApiKeyRecord[] }
  | { ok: false; problems: { line: number; message: string }[] };

export function parseApiKeyFile(text: string): ParsedApiKeyFile {
  const keys = new Map<string, ApiKeyRecord>();
  const problems: { line: number; message: string }[] = [];
  for (const [i, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = raw.trim();
    if (line === '') continue;
    const read = readLine(line);
    if (typeof read === 'string') problems.push({ line: i + 1, message: read });
    else if (keys.has(read.key)) problems.push({ line: i + 1, message: 'repeats a key of an earlier line' });
    else keys.set(read.key, read);
  }
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, keys: [...keys.values()] };
}

const FORM = 'key:secret, key:secret:role or key:secret:role:scope,scope';

function readLine(line: string): ApiKeyRecord | string {
  if (line.startsWith('#')) return `starts with #: comments are not part of the format (${FORM})`;
  const [key, secret, role = 'administrator', scopes, ...more] = line.split(':');
  if (secret === undefined) return `has no colon: expected ${FORM}`;
  if (key === '' || secret === '') return `has an empty ${key === '' ? 'key' : 'secret'}: expected ${FORM}`;
  if (/[\s\p{Cc}]/u.test(line)) return `contains a space or control character: expected ${FORM}`;
  if (role === 'ns') return 'belongs to a namespace: namespaces are not supported';
  if (more.length > 0) return `has too many colons (keys and secrets contain none): expected ${FORM}`;
  if (!isRole(role)) return `names an unknown role: expected ${API_ROLES.join(', ')}`;
  const scopeList = scopes === undefined || scopes === '' ? null : scopes.split(',');
  if (scopeList?.includes('')) return `names an empty scope: expected ${FORM}`;
  return { key: key as string, secret, role, scopes: scopeList };
}

function isRole(text: string): text is ApiRole {
  return (API_ROLES as readonly string[]).includes(text);
}
