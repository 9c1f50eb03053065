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
