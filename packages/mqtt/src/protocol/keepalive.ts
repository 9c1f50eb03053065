/**
 * A client that was silent for one and a half times its Keep Alive is gone [MQTT-3.1.2-22]. The deadline is computed
 * when somebody looks, from the time of the last bytes: reading a packet stores a number and arms no timer.
 */

/** 0 for never. */
export function keepAliveTimeoutMs(keepAliveS: number): number {
  return keepAliveS * 1500;
}

/**
 * What the server enforces: the client's wish, unless the server bounds it. An MQTT 5 client is told by Server Keep
 * Alive; a 3.1.1 client cannot be told and is taken at its word.
 */
export function effectiveKeepAliveS(wishedS: number, maxS: number | undefined, version: 4 | 5): number {
  if (maxS === undefined || version === 4) return wishedS;
  return wishedS === 0 || wishedS > maxS ? maxS : wishedS;
}
