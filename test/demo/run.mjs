// npm run demo: the three demos of the product against a broker started for it, against a cluster whose nodes are harmed
// meanwhile, or against one that is running. Exits with 1 when a promise is broken.
import { parseArgs } from 'node:util';
import { Broker } from './broker.mjs';
import { killAllClients, LIBRARY, OTHER_LIBRARY } from './clients.mjs';
import { Cluster } from './cluster.mjs';
import { commandQueue } from './command-queue.mjs';
import { RunningBroker } from './running-broker.mjs';
import { Score } from './score.mjs';
import { slowWorker } from './slow-worker.mjs';
import { taskQueue } from './task-queue.mjs';

const USAGE = `npm run demo -- [--cluster [--compact]] [--mqttjs]
npm run demo -- --mqtt HOST:PORT --http HOST:PORT [--api-key KEY:SECRET] [--mqttjs]

  --cluster   3 coordinators, 3 stores and 2 gateways; in each demo a node is killed, started again, and one is frozen
  --compact   3 nodes with all roles in place of these
  --mqttjs    clients with MQTT.js, also where paho is
  --mqtt, --http, --api-key   a broker that is running, for example by "npm run cluster"; nothing of it is harmed
`;

const options = read();
const score = new Score();
const startedMs = performance.now();
const clients = `${LIBRARY}, MQTT 5 and 3.1.1`;
const broker = await start();
score.note(broker.what);

for (const demo of [taskQueue, slowWorker, commandQueue]) {
  try {
    await demo(broker, score);
  } catch (error) {
    score.check(false, `the demo came to its end: ${error.message}`);
  }
  await killAllClients();
}

score.title(options.mqtt === undefined ? 'Stopping: it drains' : 'Removing the queues');
const trouble = await broker.stop();
score.check(trouble === undefined, 'it ended well', trouble);
const ok = score.summary(clients);
process.stdout.write(`${Math.round((performance.now() - startedMs) / 1000)} s. ${OTHER_LIBRARY}\n`);
if (!ok && broker.errors !== '')
  process.stdout.write(`\nthe broker's log ends with:\n${broker.errors.slice(-12_000)}\n`);
process.exitCode = ok ? 0 : 1;

async function start() {
  if (options.mqtt !== undefined) {
    score.title(`On a broker that is running; clients: ${clients}`);
    return new RunningBroker({ mqtt: options.mqtt, http: options.http, apiKey: options['api-key'] });
  }
  if (options.cluster || options.compact) {
    const layout = options.compact ? 'compact' : 'tiers';
    score.title(`Starting a cluster on free ports with a temporary data directory; clients: ${clients}`);
    return await Cluster.start(layout, score);
  }
  score.title(`Starting a broker on free ports with a temporary data directory; clients: ${clients}`);
  return await Broker.start();
}

function read() {
  const text = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  try {
    const { values } = parseArgs({
      options: { cluster: flag, compact: flag, mqttjs: flag, help: flag, mqtt: text, http: text, 'api-key': text },
    });
    if (values.help) fail('', 0);
    if ((values.mqtt === undefined) !== (values.http === undefined)) fail('--mqtt and --http belong together\n', 2);
    return values;
  } catch (error) {
    return fail(`${error.message}\n`, 2);
  }
}

function fail(why, code) {
  process.stderr.write(`${why}${USAGE}`);
  process.exit(code);
}
