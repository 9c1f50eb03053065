/**
 * Gateway to gateway: live publish/subscribe over nodes. Each gateway tells every other which filters its clients want;
 * each sends a published message once to every other gateway that wants it, whatever the number of its subscribers. The
 * routes travel on the channel the messages travel on, so a message never overtakes the subscription it was sent for.
 *
 * Both directions are used: the opener sends its routes and its messages, the accepting side answers only `seen`.
 */
export type LiveRequest =
  /** First on every channel: everything this gateway wants, replacing what was known of it. */
  | { type: 'routes'; version: number; filters: readonly LiveRoute[] }
  | { type: 'routes-changed'; version: number; added: readonly LiveRoute[]; removed: readonly LiveRoute[] }
  | { type: 'publish'; messages: readonly ForwardedMessage[] }
  /**
   * A client connected here: whoever else has it closes that connection (0x8E), if it is of the same identity; empty
   * when nobody was asked who they are.
   */
  | { type: 'client-connected'; clientId: string; identity: string; connectedAtMs: number };

/**
 * `version` of the routes the peer acts on, said when what it had given to the stores as retained is answered: a SUBACK waits
 * until other gateways send, and who reads what is retained until there is nothing on its way that was not sent.
 */
export type LiveResponse = { type: 'seen'; version: number };

export interface LiveRoute {
  filter: string;
  /** The share name of `$share/<name>/<filter>`; empty for an ordinary subscription. */
  share: string;
}

export interface ForwardedMessage {
  /** An MQTT PUBLISH in the form of a queue record: topic, publisher, payload, properties, expiry. */
  record: Uint8Array;
  qos: 0 | 1 | 2;
  retain: boolean;
  /** Shared groups whose one copy is to be delivered by this gateway; ordinary subscriptions always get theirs. */
  shares: readonly LiveRoute[];
}
