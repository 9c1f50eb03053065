import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { ApiError } from '../api-error.ts';

/**
 * Where no key is asked for, any web page open on the same machine could send requests here: a browser lets it post
 * blindly to loopback, and a name of the page's own that is made to resolve to 127.0.0.1 makes it read the answers too.
 * So without keys a request must come from no other origin, and one that came over loopback must have asked for it.
 *
 * @throws ApiError 403
 */
export function guardAgainstBrowsers(headers: IncomingHttpHeaders, localAddress: string | undefined): void {
  const host = headers.host ?? '';
  if (headers.origin !== undefined && headers.origin !== `http://${host}`) {
    throw new ApiError(
      403,
      'FORBIDDEN_ORIGIN',
      'Web pages of other origins may not call this API without an API key',
      HINT,
    );
  }
  if (isLoopback(localAddress ?? '127.0.0.1') && !isLocalName(host)) {
    throw new ApiError(
      403,
      'FORBIDDEN_HOST',
      'Without API keys this API answers only to the name localhost or an address',
      HINT,
    );
  }
}

/**
 * A browser that was once given a key sends it along by itself, also with what a page of another site asks for. It asks
 * first whether that page may, except for a POST without a body, and those purge a queue or drain a node. Reading is of no
 * use to such a page: no answer is shown to it.
 *
 * What a browser says of the sites counts before the names, since a proxy in front may have changed `Host`; it says so only
 * to `https:` and to loopback.
 *
 * @throws ApiError 403
 */
export function guardAgainstOtherSites(method: string, headers: IncomingHttpHeaders): void {
  if (method === 'GET' || method === 'HEAD') return;
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  const isOurs =
    site === undefined
      ? origin === undefined || /^https?:\/\/(.+)$/.exec(origin)?.[1] === host
      : site === 'same-origin' || site === 'none';
  if (isOurs) return;
  throw new ApiError(
    403,
    'FORBIDDEN_ORIGIN',
    'Web pages of other origins may not change anything with the API key that a browser keeps',
    'Call it from no page, or from one of this origin; a proxy in front must hand on Host as it came',
  );
}

const HINT = 'Configure API keys, or call it by its address, for example http://127.0.0.1:18083';

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

function isLocalName(hostHeader: string): boolean {
  const name = hostHeader
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return name === 'localhost' || isIP(name) !== 0;
}
