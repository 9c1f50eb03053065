import type { Properties } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import type { ConnectionState } from './connection-state.ts';

/**
 * A message that says it is UTF-8 text (Payload Format Indicator 1) may be looked at by a server, MQTT 5 section 3.3.2.3.2.
 * Ours does where it was asked to: it costs a walk over every such payload, and subscribers that trust the indicator are
 * spared what is none. The reason code of the refusal, or undefined.
 */
export function payloadFormatRefusal(
  connection: ConnectionState,
  properties: Properties | undefined,
  payload: Uint8Array,
): number | undefined {
  if (properties?.payloadFormatIndicator !== 1 || !connection.limits.validatePayloadFormat) return undefined;
  return connection.effects.isUtf8(payload) ? undefined : ReasonCode.PAYLOAD_FORMAT_INVALID;
}
