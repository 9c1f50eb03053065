import type { Connection } from './connection.ts';

/** One open connection for status pages and the REST API. Nothing in it is secret. */
export interface ConnectionSummary {
  clientId: string;
  username: string | undefined;
  peerName: string;
  transport: string;
  protocolVersion: 4 | 5;
  connectedAtMs: number;
  keepAliveS: number;
  subscriptions: number;
  /** Outbound QoS 1 and 2 messages that are not finished. */
  inflight: number;
  /** Messages that wait for the client's window or socket. */
  waiting: number;
  unacknowledgedPublishes: number;
  sendBufferBytes: number;
  readPaused: boolean;
}

export function summaryOf(connection: Connection, sendBufferBytes: number, readPaused: boolean): ConnectionSummary {
  const { state, session, publisher, channel, connectedAtMs } = connection;
  return {
    clientId: publisher.clientId,
    username: publisher.username,
    peerName: channel.peerName,
    transport: channel.transport,
    protocolVersion: state.version,
    connectedAtMs,
    keepAliveS: state.keepAliveS,
    subscriptions: session?.subscriptions.size ?? 0,
    inflight: session?.inflight.size ?? 0,
    waiting: session?.backlog.size ?? 0,
    unacknowledgedPublishes: state.acks.count,
    sendBufferBytes,
    readPaused,
  };
}
