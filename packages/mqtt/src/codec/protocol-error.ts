import { SluiceError } from '@sluice/common/errors';

/**
 * What a peer sent is not MQTT. It ends the connection and nothing else: `reasonCode` goes into the DISCONNECT, or into
 * the CONNACK when no CONNECT was completed. It is always an MQTT 5 code; `connackReturnCodeOf` tells what, if
 * anything, a 3.1.1 client is told before its connection closes.
 */
export class MqttProtocolError extends SluiceError {
  readonly reasonCode: number;
  readonly beforeConnect: boolean;

  constructor(reasonCode: number, message: string, beforeConnect: boolean) {
    super('MQTT_PROTOCOL_ERROR', message, {
      hint: 'The peer sent what MQTT does not allow; look at its client library.',
    });
    this.name = 'MqttProtocolError';
    this.reasonCode = reasonCode;
    this.beforeConnect = beforeConnect;
  }
}
