import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from '../api-error.ts';
import { QUEUE_SCOPE } from './api-key-file.ts';
import type { ApiIdentity, ApiKeyStore } from './api-key-store.ts';

/** What a route asks of its caller. */
export type Access = 'public' | 'read' | 'write';

const ANONYMOUS: ApiIdentity = { key: 'anonymous', role: 'administrator', scopes: null };
const KEY_HINT = 'Send an API key with HTTP Basic, for example: curl -u key:secret …';

/** @throws ApiError 401 with EMQX's codes. */
export function authenticate(headers: IncomingHttpHeaders, keys: ApiKeyStore, anonymous: boolean): ApiIdentity {
  const header = headers.authorization;
  // Without any key there is nothing to compare with: credentials sent out of habit do no harm.
  if (anonymous && (header === undefined || keys.size === 0)) return ANONYMOUS;
  if (header === undefined)
    throw new ApiError(401, 'AUTHORIZATION_HEADER_ERROR', 'Missing "Authorization" header', KEY_HINT);
  const [, scheme, value] = /^(\S+)\s+(\S+)\s*$/.exec(header) ?? [];
  if (scheme?.toLowerCase() === 'bearer') {
    throw new ApiError(401, 'BAD_TOKEN', 'Bearer tokens are not issued by this server', KEY_HINT);
  }
  if (scheme?.toLowerCase() !== 'basic' || value === undefined) {
    throw new ApiError(401, 'AUTHORIZATION_HEADER_ERROR', 'The "Authorization" header is not HTTP Basic', KEY_HINT);
  }
  const pair = Buffer.from(value, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  const identity = colon < 0 ? null : keys.verify(pair.slice(0, colon), pair.slice(colon + 1));
  if (identity === null) {
    throw new ApiError(
      401,
      'BAD_API_KEY_OR_SECRET',
      'Bad API key or secret',
      'Keys are those of the key file, which is read again some seconds after it has changed',
    );
  }
  return identity;
}

/** @throws ApiError 403 when the role or the scopes do not reach. */
export function authorize(identity: ApiIdentity, access: Access, scope = QUEUE_SCOPE): void {
  const reads = identity.role === 'administrator' || identity.role === 'viewer';
  const writes = identity.role === 'administrator';
  if (access === 'read' ? !reads : !writes) {
    const needed = access === 'read' ? 'viewer or administrator' : 'administrator';
    throw new ApiError(
      403,
      'UNAUTHORIZED_ROLE',
      `The role ${identity.role} may not do this`,
      `This call needs a key with the role ${needed}`,
    );
  }
  if (identity.scopes !== null && !identity.scopes.includes(scope)) {
    throw new ApiError(
      403,
      'UNAUTHORIZED_ROLE',
      'The scopes of this API key do not include this call',
      `It needs the scope ${scope}`,
    );
  }
}
