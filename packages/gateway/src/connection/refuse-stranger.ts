import type { ProtocolVersion } from '@sluice/mqtt/codec/packet';
import type { MqttProtocolError } from '@sluice/mqtt/codec/protocol-error';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';

/** Whose CONNECT could not be read. Only what names itself one gets an answer; for anything else MQTT is not spoken there. */
export function refuseStranger(
  state: ConnectionState,
  version: ProtocolVersion,
  { reasonCode, message }: MqttProtocolError,
): void {
  const isKnown = version === 5 || reasonCode === ReasonCode.UNSUPPORTED_PROTOCOL_VERSION;
  // How much it can be told is in the packet that could not be read: no words then.
  if (isKnown || reasonCode === ReasonCode.CLIENT_IDENTIFIER_NOT_VALID) {
    state.refuseConnect(reasonCode, message, version, {});
  } else state.fail(reasonCode, message);
}
