// The same worker as consumer.py, with MQTT.js, for machines without paho.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import mqtt from 'mqtt';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    version: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '0' },
    stuck: { type: 'boolean', default: false },
  },
});
const [host, port, filter] = positionals;

function tell(event, fields) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

// It subscribes again by itself when it had to connect again.
const client = mqtt.connect({ host, port: Number(port), protocolVersion: Number(values.version) });
let connections = 0;
client.on('connect', () => {
  connections++;
  tell('connected');
});
client.on('error', (error) => {
  process.stderr.write(`${error}\n`);
  if (connections === 0) process.exit(1);
});
// MQTT.js acknowledges once `done` is called; a packet id means another message on the next connection.
client.handleMessage = (packet, done) => {
  const { topic, payload, qos } = packet;
  const text = payload.subarray(0, 256).toString().replace(/\0+$/, '');
  tell('message', { topic, text, size: payload.length, qos, key: packet.properties?.userProperties?.key ?? null });
  const of = connections;
  const finish = () => {
    if (client.connected && of === connections) done();
  };
  if (!values.stuck) setTimeout(finish, Number(values.seconds) * 1000);
};
const input = createInterface({ input: process.stdin });
input.once('line', () => client.subscribe(filter, { qos: 0 }, () => tell('subscribed')));
input.once('close', () => client.end());
