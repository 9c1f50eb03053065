import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from '@jest/globals';
import { LAYOUTS, LocalCluster } from '../../deploy/local-cluster.mjs';
import { Authority } from '../../packages/rpc/test/support/certificates.ts';
import { API, connect } from '../faults/load.ts';
import { mqttEvent } from '../harness/mqtt-event.ts';
import { DIES_WITH_US, endOfLog } from '../harness/node-lifetime.ts';
import { RestClient } from '../harness/rest.ts';
import { addressOf } from '../harness/server-process.ts';
import { type ClusterProcess, ClusterUnderTest, patiently } from './cluster-under-test.ts';

const PATIENCE_MS = 60_000;
const MESSAGES = 20;

/** Of every node a certificate for its own address; some nodes have none, or one that is good for nothing. */
const HOSTS: Readonly<Record<string, string>> = { 'node-1': '127.0.0.1', 'node-2': '127.0.0.2', 'node-3': '127.0.0.3' };
const folder = mkdtempSync(join(tmpdir(), 'sluice-starting-'));
const authority = new Authority();
const stranger = new Authority();
let cluster: ClusterUnderTest | undefined;

afterEach(async () => {
  await cluster?.dispose();
  cluster = undefined;
}, 60_000);

afterAll(() => {
  for (const one of [authority, stranger]) one.close();
  rmSync(folder, { recursive: true });
});

const hostOf = (name: string): string => HOSTS[name] ?? '127.0.0.4';

/** As they are documented: three files, named by variables. */
function environmentOf(name: string): Record<string, string> {
  if (name === 'plain') return {};
  const names = `IP:${hostOf(name)}`;
  const days = name === 'expired' ? -1 : 30;
  const { cert, key } = (name === 'strange' ? stranger : authority).issue({ names, days });
  const { ca } = authority.issue();
  const variables: Record<string, string> = {};
  for (const [variable, pem] of [
    ['CA_FILE', ca],
    ['CERTIFICATE_FILE', cert],
    ['KEY_FILE', key],
  ] as const) {
    const path = join(folder, `${name}-${variable}.pem`);
    writeFileSync(path, pem, { mode: 0o600 });
    variables[`SLUICE_CLUSTER__${variable}`] = path;
  }
  return variables;
}

interface Intruder {
  name: string;
  flags?: string[];
  /** What it waits for, in its own words. */
  words: RegExp;
  /** Why the others refuse it, and what they say is to be done. */
  reason: string;
  hint: RegExp;
}

interface Line {
  level: string;
  msg: string;
  reason?: string;
  detail?: string;
  hint?: string;
}

/** What a node said, without its `ready` lines. */
function linesOf({ logFile }: ClusterProcess): Line[] {
  return readFileSync(logFile, 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []));
}

/** Why a node is not ready, in its own words. */
async function waitsFor(node: ClusterProcess, words: RegExp): Promise<void> {
  let said: unknown;
  await patiently(`${node.name} to say ${words}`, performance.now() + PATIENCE_MS, async () => {
    const { status, body } = await restOf(node).get('/readyz');
    said = body;
    return status === 503 && words.test(JSON.stringify(body));
  }).catch((cause) => {
    throw new Error(`${cause}: ${JSON.stringify(said)}\n${endOfLog(node.logFile)}`, { cause });
  });
}

const restOf = ({ http }: ClusterProcess): RestClient => new RestClient(`http://${http}`);

test('three nodes with certificates: quiet, and closed to whoever has none of theirs', async () => {
  cluster = await ClusterUnderTest.start({ layout: 'compact', hostOf, environmentOf });
  const { nodes } = cluster;
  const [publisher, consumer] = cluster
    .gateways()
    .slice(0, 2)
    .map(({ mqtt }, i) => connect(`c${i}`, 5, addressOf(mqtt)));
  if (publisher === undefined || consumer === undefined) throw new Error('the cluster has no gateways');
  await Promise.all([publisher, consumer].map((client) => mqttEvent(client, 'connect')));
  await cluster.rest('node-3').post(API, { topic_filter: 'work/+', is_lastvalue: false });
  const received: string[] = [];
  consumer.on('message', (_, payload) => received.push(payload.toString()));
  await consumer.subscribeAsync('$q/work/+', { qos: 1 });
  const sent = Array.from({ length: MESSAGES }, (_, n) => String(n));
  await Promise.all(sent.map((text) => publisher.publishAsync('work/a', text, { qos: 1 })));
  await patiently('all messages', performance.now() + PATIENCE_MS, async () => received.length >= MESSAGES);
  expect(received).toEqual(sent);
  for (const client of [publisher, consumer]) client.end(true);

  // A healthy start warns of nothing, so that a warning is one.
  for (const node of nodes) {
    expect(linesOf(node).filter(({ level }) => level !== 'info')).toEqual([]);
    expect(readFileSync(node.logFile, 'utf8')).not.toContain('Warning:');
  }

  const one = cluster;
  const closed = /it closed the connection while it was made/;
  const intruders: Intruder[] = [
    { name: 'strange', words: closed, reason: 'certificate', hint: /cluster.caFile/ },
    { name: 'expired', words: closed, reason: 'certificate', hint: /has not expired/ },
    { name: 'plain', words: closed, reason: 'tls', hint: /cluster.certificateFile/ },
    // Has a certificate of its own address, and takes the name of another node.
    {
      name: 'impostor',
      flags: ['--name', 'node-3'],
      words: /the certificate of node, IP Address:127.0.0.4 does not speak for node-3/,
      reason: 'wrong-certificate',
      hint: /node.name/,
    },
  ];
  const refusals = (): Line[] => nodes.flatMap(linesOf).filter(({ msg }) => msg.startsWith('refused'));
  const turnAway = async ({ name, flags = [], words, reason, hint }: Intruder): Promise<void> => {
    const adding = one.add(name, 'store', flags).catch(() => {});
    await patiently(`${name} to run`, performance.now() + PATIENCE_MS, async () => one.node(name).isRunning);
    await waitsFor(one.node(name), words);
    const line = await patiently('a line in the log', performance.now() + PATIENCE_MS, async () =>
      refusals().find((refusal) => refusal.reason === reason && hint.test(refusal.hint ?? '')),
    );
    expect(line.level).toBe('warn');
    const counts = await Promise.all(
      nodes.map((node) => one.metric(node.name, 'sluice_rpc_refused_total', `reason="${reason}"`)),
    );
    expect(Math.max(...counts)).toBeGreaterThan(0);
    expect(await one.node(name).stop()).toEqual({ code: 0, signal: null });
    await adding;
  };
  await Promise.all(intruders.map(turnAway));
  expect(linesOf(one.node('expired')).some(({ msg }) => /has expired/.test(msg))).toBe(true);
  // Nobody came in.
  expect((await one.view('node-1'))?.nodes.map(({ node }) => node).sort()).toEqual(['node-1', 'node-2', 'node-3']);
}, 240_000);

test('a founder that is alone: alive, not ready, says whom it waits for and why, and stops when it is told to', async () => {
  // The others end before they begin.
  const prefixOf = (name: string): string[] => (name === 'node-1' ? [...DIES_WITH_US] : ['false']);
  const local = new LocalCluster({ directory: join(folder, 'alone'), prefixOf });
  await expect(local.start(LAYOUTS.compact)).rejects.toThrow('ended before it was ready');
  const [node, ...others] = [...local.nodes.values()] as [ClusterProcess, ...ClusterProcess[]];
  const missing = others.map(({ grpc }) => `${grpc} of the join list: connection refused`);
  await waitsFor(node, new RegExp(`waiting for ${missing.join('; ')}`));
  const rest = restOf(node);
  expect((await rest.get('/healthz')).status).toBe(200);
  expect((await rest.get('/metrics')).body).toContain('sluice_');
  expect(await rest.get(API)).toMatchObject({
    status: 503,
    body: { message: expect.stringContaining('connection refused') },
  });
  const said = linesOf(node).filter(({ msg }) => msg.startsWith('waiting for'));
  expect(said.map(({ level }) => level)).toEqual(['info']);
  expect(await node.stop()).toEqual({ code: 0, signal: null });
}, 60_000);
