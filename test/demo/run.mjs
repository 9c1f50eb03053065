// npm run demo: the three demos of the product against a broker started for it. Exits with 1 when a promise is broken.
import { Broker } from './broker.mjs';
import { killAllClients, LIBRARY, OTHER_LIBRARY } from './clients.mjs';
import { commandQueue } from './command-queue.mjs';
import { Score } from './score.mjs';
import { slowWorker } from './slow-worker.mjs';
import { taskQueue } from './task-queue.mjs';

const score = new Score();
const startedMs = performance.now();
score.title(`Starting a broker on free ports with a temporary data directory; clients: ${LIBRARY}, MQTT 5`);
const broker = await Broker.start();
score.note(`MQTT on ${broker.host}:${broker.port}`);

for (const demo of [taskQueue, slowWorker, commandQueue]) {
  try {
    await demo(broker, score);
  } catch (error) {
    score.check(false, `the demo came to its end: ${error.message}`);
  }
  await killAllClients();
}

score.title('Stopping the broker: it drains');
const { code } = await broker.stop();
score.check(code === 0, 'it ended well', `exit code ${code}`);
const ok = score.summary(LIBRARY);
process.stdout.write(`${Math.round((performance.now() - startedMs) / 1000)} s. ${OTHER_LIBRARY}\n`);
if (!ok && broker.errors !== '')
  process.stdout.write(`\nthe broker's log ends with:\n${broker.errors.slice(-3_000)}\n`);
process.exitCode = ok ? 0 : 1;
