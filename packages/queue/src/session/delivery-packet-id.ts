/**
 * The packet id under which a session is sent a stream's record at QoS 1.
 *
 * Whoever has the session next must send what was not acknowledged under the id it had [MQTT-4.4.0-1], also when the
 * gateway that sent it is gone and could tell nobody. Written down, the id would cost each delivery a command; reserved in
 * ranges, each stream of a session a command now and then, and an id space of 65,535 divided by a thousand filters. Worked
 * out of the record's place it costs nothing: every gateway finds the same one.
 *
 * Of one stream it comes again after `DELIVERY_IDS` records, which is more than a session has unacknowledged. Two streams
 * meet now and then: each takes steps of its own length over a prime number of ids, so they do not go side by side. Which
 * of the two that meet has another id is for the gateway to say, in the log, before it is sent (`exchanges`, 'bind').
 *
 * Never changed: of two releases in one cluster each must find what the other has sent.
 */
export function deliveryPacketId(streamId: number, offset: number): number {
  const step = 1 + (((streamId % (DELIVERY_IDS - 1)) * STEP_FACTOR) % (DELIVERY_IDS - 1));
  const first = ((streamId % DELIVERY_IDS) * FIRST_FACTOR) % DELIVERY_IDS;
  return 1 + ((first + (offset % DELIVERY_IDS) * step) % DELIVERY_IDS);
}

/** From 1 on; a prime number. Those above are for what has no such place, and for those of two that meet. */
export const DELIVERY_IDS = 57_331;

/** So that streams that began one after the other are far apart; the first has no divisor in common with `DELIVERY_IDS` - 1. */
const STEP_FACTOR = 20_947;
const FIRST_FACTOR = 35_437;
