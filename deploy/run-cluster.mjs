// npm run cluster: a whole cluster on this machine, each node a process of its own, and one address for all clients.
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { Balancer } from './balancer.mjs';
import { LAYOUTS, LocalCluster } from './local-cluster.mjs';
import { LocalPrometheus } from './local-prometheus.mjs';

const options = new Command('npm run cluster --')
  .description('start a cluster of separate processes on this machine, behind one MQTT address and one of the REST API')
  .option('--compact', 'three nodes with all roles, instead of 3 coordinators, 3 stores and 2 gateways')
  .option('--stores <N>', 'stores of the tiered form', '3')
  .option('--gateways <N>', 'gateways of the tiered form', '2')
  .option('--mqtt <PORT>', 'where clients connect; spread over the gateways', '1883')
  .option('--http <PORT>', 'where the REST API is asked, by the commands too; spread over all nodes', '18083')
  .option('--prometheus <PORT>', 'where Prometheus listens, if this machine has one; none: without', '9090')
  .option('--data <DIR>', 'where the nodes keep their data and logs', './data/cluster')
  .option('--set <section.key=value>', 'a setting of every node; may be repeated', (item, all) => [...all, item], [])
  .parse()
  .opts();

const directory = resolve(options.data);
const cluster = new LocalCluster({ directory, flags: options.set.flatMap((item) => ['--set', item]) });
const layout = options.compact
  ? LAYOUTS.compact
  : LAYOUTS.tiers.map((tier) => {
      const count = { store: options.stores, gateway: options.gateways }[tier.name];
      return count === undefined ? tier : { ...tier, count: Number(count) };
    });
const nodes = layout.reduce((sum, { count }) => sum + count, 0);

const say = (text) => process.stdout.write(`${text}\n`);
say(`starting ${nodes} nodes, data and logs in ${directory}`);
const entrances = {
  mqtt: new Balancer(() => cluster.gateways().map(({ mqtt }) => mqtt)),
  http: new Balancer(() => [...cluster.nodes.values()].map(({ http }) => http)),
};
const addresses = { mqtt: '', http: '' };
let prometheus;
let stopping = false;
async function stop(code) {
  if (stopping) return;
  stopping = true;
  say('stopping: gateways, then stores, then coordinators');
  for (const entrance of Object.values(entrances)) entrance.close();
  await prometheus?.stop();
  const failed = await cluster.stop();
  if (failed.length > 0) say(`did not end well: ${failed.join(', ')}`);
  process.exit(failed.length > 0 ? 1 : code);
}
process.on('SIGINT', () => void stop(0));
process.on('SIGTERM', () => void stop(0));

try {
  // First: a port that is taken should be known before eight processes run.
  for (const [name, entrance] of Object.entries(entrances)) {
    addresses[name] = `127.0.0.1:${await listen(entrance, name)}`;
  }
  await cluster.start(layout, { onReady: ({ name }) => say(`  ${name} is ready`) });
} catch (error) {
  say(error.message);
  await stop(1);
}
prometheus = await startPrometheus();
const rows = [...cluster.nodes.values()].map(({ name, pid, roles, mqtt, http }) => [
  name,
  pid,
  roles.join(','),
  mqtt,
  http,
]);
await writeFile(
  join(directory, 'cluster.json'),
  `${JSON.stringify({ ...addresses, nodes: rows.map(([name, pid, , mqtt, http]) => ({ name, pid, mqtt, http })) }, undefined, 2)}\n`,
);
const table = [['node', 'pid', 'roles', 'mqtt', 'http'], ...rows].map((row) => row.map(String));
const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
for (const row of table) say(`  ${row.map((cell, column) => cell.padEnd(widths[column])).join('  ')}`);
say(`ready ${JSON.stringify({ ...addresses, prometheus: prometheus?.url })}`);
say('kill, pause (kill -STOP) or stop any of them; Ctrl-C stops all');
for (const node of cluster.nodes.values()) {
  void node.exited.then(({ code, signal }) => {
    if (!stopping)
      say(
        `${node.name} ended (code ${code}, signal ${signal}); start it again with the line below, in a shell of its own: Ctrl-C here does not stop it then\n  ${node.command.map(quoted).join(' ')}`,
      );
  });
}

async function listen(entrance, name) {
  try {
    return await entrance.listen(Number(options[name]));
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error;
    throw new Error(`port ${options[name]} is taken: choose another with --${name}`);
  }
}

/** As a shell takes it. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The cluster is there without it: what is missing is said, and nothing fails. */
async function startPrometheus() {
  if (options.prometheus === 'none') return undefined;
  if (!LocalPrometheus.isInstalled()) {
    say(
      '  no Prometheus on this machine: with one (apt-get install prometheus) rates and alerts are watched here, too',
    );
    return undefined;
  }
  try {
    const targets = [...cluster.nodes.values()].map(({ http }) => http);
    const at = { directory: join(directory, 'prometheus'), targets, port: Number(options.prometheus) };
    const started = await LocalPrometheus.start(at);
    say(`  Prometheus with the rules of deploy/prometheus: ${started.url}, pid ${started.pid}`);
    return started;
  } catch (error) {
    say(`  without Prometheus: ${error.message}`);
    return undefined;
  }
}
