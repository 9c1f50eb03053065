/** A message on its way into the store: what the gateway knows of it, encoded once into a record batch. */
export interface RecordInput {
  /** Queues that keep this record; the payload is written once for all of them. */
  targets: readonly RecordTarget[];
  topic: string;
  payload: Uint8Array;
  /** QoS of the PUBLISH; deliveries decide their own. */
  qos: 0 | 1 | 2;
  retain: boolean;
  /** Client id of the publisher. */
  publisher: string;
  publishedAtMs: number;
  /** Absolute, from Message Expiry Interval; 0 for never. */
  expiresAtMs: number;
  /** Properties that travel with the message [MQTT-3.3.2-4 … 3.3.2-20]; undefined when it has none. */
  properties: RecordProperties | undefined;
}

export interface RecordTarget {
  queueId: number;
  /** Key of a last-value queue, possibly empty; undefined for a regular queue. */
  key: Uint8Array | undefined;
}

export interface RecordProperties {
  payloadFormatIndicator?: 0 | 1;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  /** Name, value, name, value, … in order. */
  userProperties?: string[];
}
