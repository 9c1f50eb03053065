import type { DisconnectPacket } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import type { ConnectionState } from './connection-state.ts';

/** DISCONNECT from the client, MQTT 5 section 3.14. Only 0x00 takes the will back [MQTT-3.14.4-3]. */
export function handleDisconnect(connection: ConnectionState, packet: DisconnectPacket): void {
  const expiryS = packet.properties?.sessionExpiryIntervalS ?? 0;
  if (expiryS !== 0 && connection.sessionExpiryAskedS === 0) {
    connection.fail(ReasonCode.PROTOCOL_ERROR, 'Session Expiry Interval raised from 0, section 3.14.2.2.2');
    return;
  }
  const asked = packet.properties?.sessionExpiryIntervalS;
  // A session that is not kept cannot be kept by the last word of its connection.
  if (asked !== undefined && connection.sessionExpiryS !== 0) connection.sessionExpiryS = asked;
  connection.finish(packet.reasonCode === ReasonCode.SUCCESS ? 'client_disconnect' : 'abnormal');
}
