import { type EventEmitter, once } from 'node:events';
import type { MqttClient, MqttClientEventCallbacks } from 'mqtt';

/**
 * The next event of its kind of a client of MQTT.js; rejects with the error that comes before it. `once` of Node.js
 * asks for an emitter: such a client has all methods of one, but its declaration leaves some of them out.
 */
export function mqttEvent<Name extends keyof MqttClientEventCallbacks>(
  client: MqttClient,
  name: Name,
): Promise<Parameters<MqttClientEventCallbacks[Name]>> {
  return once(client as unknown as EventEmitter, name) as Promise<Parameters<MqttClientEventCallbacks[Name]>>;
}
