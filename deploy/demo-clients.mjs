// node deploy/demo-clients.mjs ROLE: stock clients (MQTT.js) that are busy for ever, for a cluster that somebody looks at.
//   jobs      20 jobs a second on "jobs/resize", a task queue; a surge of 2,000 every two minutes
//   worker    takes jobs from "$q/jobs/#", and works 0.05 s on each
//   sluggish  the same, with 2 s a job: it holds its window and no more
//   commands  a command for one of a hundred devices on "devices/N/command", five times a second: the newest of each is kept
//   device    comes for five seconds every fifteen, and takes what is new for the devices from "$q/devices/+/command"
// The queues are made first, whoever starts first. SLUICE_MQTT (host:port) and SLUICE_URL say where.
import mqtt from 'mqtt';

const { SLUICE_MQTT = '127.0.0.1:1883', SLUICE_URL = 'http://127.0.0.1:18083' } = process.env;
const [role] = process.argv.slice(2);
const AGAIN_MS = 2_000;

const QUEUES = [
  { topic_filter: 'jobs/#', is_lastvalue: false, dispatch_strategy: 'least_inflight' },
  { topic_filter: 'devices/+/command', is_lastvalue: true, key_expression: 'message.topic' },
];

const ROLES = {
  jobs: () =>
    publisher(() => ['jobs/resize', `picture ${Date.now()}`], { everyMs: 50, surge: 2_000, surgeMs: 120_000 }),
  worker: () => worker('$q/jobs/#', 50),
  sluggish: () => worker('$q/jobs/#', 2_000),
  commands: () =>
    publisher(() => [`devices/${Math.floor(Math.random() * 100)}/command`, `reboot ${Date.now()}`], { everyMs: 200 }),
  device: () => {
    const come = () => {
      const client = worker('$q/devices/+/command', 5);
      setTimeout(() => client.end(false, () => setTimeout(come, 10_000)), 5_000);
    };
    come();
  },
};

const play = ROLES[role];
if (play === undefined) {
  process.stderr.write(`demo-clients: one of ${Object.keys(ROLES).join(', ')}\n`);
  process.exit(2);
}
process.once('SIGTERM', () => process.exit(0));
for (const queue of QUEUES) await make(queue);
play();

/** There is a queue when this resolves, whoever made it. */
async function make(queue) {
  for (;;) {
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', headers, body: JSON.stringify(queue) };
    const answer = await fetch(`${SLUICE_URL}/api/v5/message_queues/queues`, request).catch((error) => error);
    if (answer.ok) return;
    const told = answer instanceof Error ? { code: answer.message } : await answer.json();
    if (told.code === 'ALREADY_EXISTS') return;
    process.stderr.write(`${queue.topic_filter}: ${told.code}; again in ${AGAIN_MS / 1_000} s\n`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function connect() {
  const client = mqtt.connect(`mqtt://${SLUICE_MQTT}`, { protocolVersion: 5, reconnectPeriod: 1_000 });
  client.on('error', (error) => process.stderr.write(`${error.message}\n`));
  return client;
}

function publisher(next, { everyMs, surge = 0, surgeMs }) {
  const client = connect();
  const publish = () => {
    if (client.connected) client.publish(...next(), { qos: 1 });
  };
  setInterval(publish, everyMs);
  if (surge > 0) setInterval(() => Array.from({ length: surge }, publish), surgeMs);
}

/** MQTT.js acknowledges when `done` is called: after the work. */
function worker(filter, workMs) {
  const client = connect();
  client.handleMessage = (_packet, done) => setTimeout(done, workMs);
  client.on('connect', () => client.subscribe(filter, { qos: 1 }));
  return client;
}
