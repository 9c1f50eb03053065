import { Failure, type Value } from './value.ts';

/**
 * The message as expressions see it. Every member is read only when an expression asks for it, so an implementation may
 * compute it on access; nothing is collected into a map first.
 */
export interface MessageBindings {
  readonly id: string;
  readonly qos: number;
  /** Client id of the publisher. */
  readonly from: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly timestampMs: number;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly username: string | undefined;
  /** `127.0.0.1` */
  readonly peerHost: string | undefined;
  /** `127.0.0.1:50123` */
  readonly peerName: string | undefined;
  /** 3, 4 or 5. */
  readonly protocolVersion: number | undefined;
  readonly clientAttributes: ReadonlyMap<string, string> | undefined;
  readonly properties: MessageProperties | undefined;
}

export interface MessageProperties {
  readonly payloadFormatIndicator?: 0 | 1;
  readonly messageExpiryIntervalS?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  /** Name, value, name, value, … in order. */
  readonly userProperties?: readonly string[];
}

export type Variable = (message: MessageBindings) => Value | undefined;

const headers: readonly [string, Variable][] = [
  ['username', (message) => message.username],
  ['peerhost', (message) => message.peerHost],
  ['peername', (message) => message.peerName],
  ['proto_ver', (message) => message.protocolVersion],
  ['protocol', () => 'mqtt'],
  ['properties.Payload-Format-Indicator', (message) => message.properties?.payloadFormatIndicator],
  ['properties.Message-Expiry-Interval', (message) => message.properties?.messageExpiryIntervalS],
  ['properties.Content-Type', (message) => message.properties?.contentType],
  ['properties.Response-Topic', (message) => message.properties?.responseTopic],
  ['properties.Correlation-Data', (message) => message.properties?.correlationData],
];

const variables: ReadonlyMap<string, Variable> = new Map<string, Variable>([
  ['message.id', (message) => message.id],
  ['message.qos', (message) => message.qos],
  ['message.from', (message) => message.from],
  ['message.topic', (message) => message.topic],
  ['message.payload', (message) => message.payload],
  ['message.timestamp', (message) => message.timestampMs],
  ['message.flags.retain', (message) => message.retain],
  ['message.flags.dup', (message) => message.dup],
  ...headers.map(([name, read]): [string, Variable] => [`message.headers.${name}`, read]),
]);

const USER_PROPERTY = 'message.headers.properties.User-Property';
const CLIENT_ATTRIBUTES = 'message.headers.client_attrs';
const EXTRA = 'message.extra';

const maps = new Set([
  'message',
  'message.flags',
  'message.headers',
  'message.headers.properties',
  USER_PROPERTY,
  CLIENT_ATTRIBUTES,
  EXTRA,
]);

/** Every fixed path, for suggestions. */
export const VARIABLE_NAMES: readonly string[] = [...variables.keys(), `${USER_PROPERTY}.<name>`];

/**
 * How to read a path. `map` for one that stands for a whole map; undefined for one that no message ever binds. What
 * follows `User-Property.` is the property's name, dots included.
 */
export function resolveVariable(path: string): Variable | 'map' | undefined {
  const known = variables.get(path);
  if (known !== undefined) return known;
  if (maps.has(path)) return 'map';
  if (path.startsWith(`${USER_PROPERTY}.`)) return userProperty(path.slice(USER_PROPERTY.length + 1));
  if (path.startsWith(`${CLIENT_ATTRIBUTES}.`)) {
    const name = path.slice(CLIENT_ATTRIBUTES.length + 1);
    return (message) => message.clientAttributes?.get(name);
  }
  // Extension space that no message of ours fills.
  if (path.startsWith(`${EXTRA}.`)) return () => undefined;
  return undefined;
}

/** The last of several properties with this name. */
function userProperty(name: string): Variable {
  return (message) => {
    const pairs = message.properties?.userProperties;
    if (pairs === undefined) return undefined;
    for (let i = pairs.length - 2; i >= 0; i -= 2) if (pairs[i] === name) return pairs[i + 1];
    return undefined;
  };
}

export function unbound(path: string): Failure {
  return new Failure(`${path} is not bound in this message`, true);
}
