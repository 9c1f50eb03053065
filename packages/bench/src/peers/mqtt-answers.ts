import type { Address } from '../load/driver.ts';
import { MqttConnection } from '../mqtt/mqtt-connection.ts';

/** Whether a broker answers an MQTT client. */
export async function mqttAnswers(address: Address): Promise<boolean> {
  try {
    const connection = await MqttConnection.open(
      { address, clientId: 'bench-knocks', options: { version: 4 } },
      { cleanStart: true, receiveMaximum: 1, sessionExpiryS: 0 },
      () => {},
    );
    await connection.close();
    return true;
  } catch {
    return false;
  }
}
