import { ReasonCode } from './reason-code.ts';

/**
 * MQTT 3.1.1 knows five refusals, MQTT 5 twenty-one. Undefined means that 3.1.1 has no word for it and the connection
 * is closed without a CONNACK, as section 4.8 asks for malformed packets.
 */
export function connackReturnCodeOf(reasonCode: number): number | undefined {
  switch (reasonCode) {
    case ReasonCode.SUCCESS:
      return 0;
    case ReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
      return 1;
    case ReasonCode.CLIENT_IDENTIFIER_NOT_VALID:
      return 2;
    case ReasonCode.SERVER_UNAVAILABLE:
    case ReasonCode.SERVER_BUSY:
    case ReasonCode.SERVER_SHUTTING_DOWN:
    case ReasonCode.QUOTA_EXCEEDED:
    case ReasonCode.USE_ANOTHER_SERVER:
    case ReasonCode.SERVER_MOVED:
    case ReasonCode.CONNECTION_RATE_EXCEEDED:
      return 3;
    case ReasonCode.BAD_USER_NAME_OR_PASSWORD:
    case ReasonCode.BAD_AUTHENTICATION_METHOD:
      return 4;
    case ReasonCode.NOT_AUTHORIZED:
    case ReasonCode.BANNED:
      return 5;
    default:
      return undefined;
  }
}
