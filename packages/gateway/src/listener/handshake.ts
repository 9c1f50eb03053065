import type { IncomingMessage } from 'node:http';

/**
 * Which requests become WebSockets. A browser opens one to any address for any page, loopback included, and sends no
 * question first: where nobody is asked who they are, every page somebody visits could read and write his broker. So an
 * anonymous listener that is reached over loopback takes pages of this machine only; programs send no Origin.
 */
export type HandshakeRefusal = 'path' | 'sub_protocol' | 'origin' | 'full' | 'malformed' | 'no_upgrade';

export const HANDSHAKE_STATUS: Readonly<Record<HandshakeRefusal, string>> = {
  path: '404 Not Found',
  sub_protocol: '400 Bad Request',
  origin: '403 Forbidden',
  full: '503 Service Unavailable',
  malformed: '400 Bad Request',
  no_upgrade: '426 Upgrade Required',
};

/**
 * `mqtt` is what the specification has [MQTT-6.0.0-3]. Clients of MQTT 3.1, which had no WebSocket, say `mqttv3.1` (MQTT.js,
 * Paho) and take no other; the rest is what EMQX takes besides. Which version is spoken says CONNECT alone.
 */
const SUB_PROTOCOLS: readonly string[] = ['mqtt', 'mqttv3.1', 'mqtt-v3', 'mqtt-v3.1.1', 'mqtt-v5'];
const PATH = '/mqtt';

/** The one to answer with, of those that were offered. */
export function subProtocolOf(offered: Iterable<string>): string | undefined {
  const all = new Set(offered);
  return SUB_PROTOCOLS.find((protocol) => all.has(protocol));
}

export function handshakeRefusal(
  request: IncomingMessage,
  { anonymous, full }: { anonymous: boolean; full: boolean },
): HandshakeRefusal | undefined {
  if ((request.url ?? '').split('?', 1)[0] !== PATH) return 'path';
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
  if (subProtocolOf(offered) === undefined) return 'sub_protocol';
  const { origin } = request.headers;
  if (anonymous && origin !== undefined && isLoopback(request.socket.localAddress ?? '') && !isLocalPage(origin)) {
    return 'origin';
  }
  return full ? 'full' : undefined;
}

/** A page that this machine serves to itself. `null` is the origin of files and of frames that hide theirs. */
function isLocalPage(origin: string): boolean {
  const host = /^https?:\/\/(\[[^\]]*\]|[^:/]*)(:\d+)?$/i.exec(origin)?.[1]?.toLowerCase();
  if (host === undefined) return false;
  return host === 'localhost' || host.endsWith('.localhost') || isLoopback(host.replace(/^\[|\]$/g, ''));
}

function isLoopback(host: string): boolean {
  return host === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
