import { getDefaultHighWaterMark } from 'node:stream';
import { DEFAULT_PROTOCOL_LIMITS, type ProtocolLimits } from '@sluice/mqtt/protocol/effects';
import type { IngressRates } from './listener/paced-channel.ts';

/** Every bound of the gateway in one place, beside those of the protocol. */
export interface GatewayLimits extends ProtocolLimits {
  /** Further connections are closed when they arrive. */
  connectionsMax: number;
  /** Of one address, over all listeners; 0: any number. */
  connectionsPerAddressMax: number;
  /** New ones a second, for each listener; 0: any number. */
  connectsPerSecond: number;
  /** What clients may send in a second before they are read more slowly. */
  rates: IngressRates;
  /** From the first byte to a complete CONNECT, and then to the authenticator's answer. */
  connectTimeoutMs: number;
  /** Size of a CONNECT: a will and a password of 64 KiB each, and some properties. */
  connectBytesMax: number;
  /** What a socket may hold before deliveries to it wait (queues, QoS 1 and 2) or are dropped (live QoS 0). */
  sendBufferBytesMax: number;
  /** Answers (everything but deliveries) a client may leave unread before it is not read itself. */
  answerBytesMax: number;
  /** Published bytes of one connection without an acknowledgement before it is not read. */
  inflightBytesMax: number;
  /** How often a client without keep-alive that is not read is looked after; one with, at its deadline. */
  unreadProbeMs: number;
  /** A message that is to be retained, with what it costs to hold it; a larger one is refused. */
  retainedMessageBytesMax: number;
  /** From the last packet written to a connection until it is cut, whether or not the client took it. */
  lingerMs: number;
  /**
   * What becomes of a client that publishes what it may not, where it cannot be told: `disconnect` closes it, `ignore`
   * answers as if nothing had happened. MQTT 5 is told in its acknowledgement, whatever this says.
   */
  denyAction: 'disconnect' | 'ignore';
  /** How often a node says under `$SYS/` how it is; 0 for never. */
  systemIntervalMs: number;
  /** Precision of keep-alive and the other deadlines. */
  tickMs: number;
}

export const DEFAULT_GATEWAY_LIMITS: GatewayLimits = {
  ...DEFAULT_PROTOCOL_LIMITS,
  connectionsMax: 100_000,
  connectionsPerAddressMax: 0,
  connectsPerSecond: 0,
  rates: { clientMessages: 0, clientBytes: 0, listenerMessages: 0, listenerBytes: 0 },
  connectTimeoutMs: 10_000,
  connectBytesMax: 144 * 1024,
  sendBufferBytesMax: 1024 * 1024,
  answerBytesMax: 256 * 1024,
  inflightBytesMax: 16 * 1024 * 1024,
  unreadProbeMs: 60_000,
  retainedMessageBytesMax: 1024 * 1024,
  lingerMs: 5_000,
  denyAction: 'disconnect',
  systemIntervalMs: 60_000,
  tickMs: 250,
};

/**
 * A socket says that it was taken only of what reached its high-water mark: of a bound below it nobody would be told that
 * there is room again, and who waits for that would wait for ever. Two of them, since a part of what is over the bound may
 * be taken before the rest is written.
 */
export function withinHearing(limits: GatewayLimits): GatewayLimits {
  const least = 2 * getDefaultHighWaterMark(false);
  return {
    ...limits,
    sendBufferBytesMax: Math.max(limits.sendBufferBytesMax, least),
    answerBytesMax: Math.max(limits.answerBytesMax, least),
  };
}
