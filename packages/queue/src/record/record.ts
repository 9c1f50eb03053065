/** A message on its way into the store: what the gateway knows of it, encoded once into a record batch. */
export interface RecordInput {
  /** Queues that keep this record; the payload is written once for all of them. */
  targets: readonly RecordTarget[];
  topic: string;
  payload: Uint8Array;
  /** The payload ends a buffer that is for nobody else, but for views among the properties: it may become the batch's. */
  ownsBuffer?: true | undefined;
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
  /** Which QoS 2 publish of its publisher it is; left out: it is stored each time it comes. */
  exchange?: RecordExchange | undefined;
}

/** Which use of a packet identifier: the partition of the publisher's session gives a number to each. */
export interface RecordExchange {
  readonly number: number;
  /** Of this publisher's exchanges, those below it are over: they are never brought again. */
  readonly floor: number;
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
