// The same producer as producer.py, with MQTT.js, for machines without paho.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import mqtt from 'mqtt';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { version: { type: 'string', default: '5' } },
});
const [host, port] = positionals;

function tell(event) {
  process.stdout.write(`${JSON.stringify({ event })}\n`);
}

const client = mqtt.connect({ host, port: Number(port), protocolVersion: Number(values.version) });
let hasConnected = false;
client.on('connect', () => {
  hasConnected = true;
  tell('connected');
});
client.on('error', (error) => {
  process.stderr.write(`${error}\n`);
  if (!hasConnected) process.exit(1);
});
const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const { topic, text, size = 0, key } = JSON.parse(line);
  const payload = Buffer.alloc(Math.max(size, Buffer.byteLength(text)));
  payload.write(text);
  const properties = key === undefined ? {} : { userProperties: { key } };
  client.publish(topic, payload, { qos: 1, properties }, (error) => tell(error ? 'refused' : 'published'));
});
input.once('close', () => client.end());
