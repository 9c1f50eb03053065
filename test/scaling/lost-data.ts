import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Consumer, until } from '../faults/load.ts';
import type { ClusterView, MovingNode } from './moving-cluster.ts';
import { flowing, type Play, type Stage } from './play.ts';

const EVEN_MS_MAX = 180_000;
const BACKLOG_READ = 20;
const SEGMENTS_MS_MAX = 120_000;
const THREE = ['node-1', 'node-2', 'node-3'];
const SMALL_SEGMENTS = ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=256KB'];

/** A node loses its disk, and comes back under its name and address with nothing. */
export const DISK_LOST: Play = {
  beginning: 'three',
  flags: SMALL_SEGMENTS,
  async perform(stage) {
    await startEven(stage);
    for (const name of ['node-2', 'node-1']) {
      await stage.step(`${name} is killed and loses its disk`, () => replaced(stage, name, lose));
    }
  },
};

/** Bytes of an entry log are flipped while its node is down. */
export const LOG_DAMAGED: Play = {
  beginning: 'three',
  flags: SMALL_SEGMENTS,
  async perform(stage) {
    await startEven(stage);
    await stage.step('bytes of the newest segment of node-2 are flipped', () => replaced(stage, 'node-2', flip(-1)));
  },
};

/** Bytes of what was written long ago rot, and nobody knows until they are read. */
export const LOG_ROTTEN: Play = {
  beginning: 'three',
  flags: SMALL_SEGMENTS,
  async perform(stage) {
    await startEven(stage);
    await stage.step('bytes amid a sealed segment of node-3 are flipped', () => mended(stage, 'node-3', flip(1, 40)));
    await stage.step('everything is read at node-3', () => readEverythingAt(stage, 'node-3'));
  },
};

/** A store is away for longer than its copies are waited for, and comes back with them later. */
export const GIVEN_UP: Play = {
  beginning: 'three',
  flags: ['--set', 'cluster.replaceAfter=10s'],
  async perform(stage) {
    const { cluster } = stage;
    const four = [...THREE, 'node-4'];
    await startEven(stage);
    await stage.step('node-4 joins', async () => {
      await cluster.add('node-4');
      return await cluster.even({ stores: four, copies: 3 }, EVEN_MS_MAX);
    });
    await stage.step('node-2 is killed and stays away', async () => {
      await cluster.node('node-2').kill();
      return await cluster.even({ stores: four.filter((name) => name !== 'node-2'), copies: 3 }, EVEN_MS_MAX);
    });
    await stage.step('node-2 comes back', async () => {
      await cluster.restart('node-2');
      return await cluster.even({ stores: four, copies: 3 }, EVEN_MS_MAX);
    });
  },
};

/** A store that died is decommissioned: it cannot give its copies away itself. */
export const DEAD_LEAVES: Play = {
  beginning: 'three',
  async perform(stage) {
    const { cluster } = stage;
    await startEven(stage);
    await stage.step('node-4 joins', async () => {
      await cluster.add('node-4');
      return await cluster.even({ stores: [...THREE, 'node-4'], copies: 3 }, EVEN_MS_MAX);
    });
    await stage.step('node-4 is killed, and leaves for good', async () => {
      await cluster.node('node-4').kill();
      await cluster.command('leave', 'node-4');
      const shares = await cluster.even({ stores: THREE, copies: 3 }, EVEN_MS_MAX);
      await until('node-4 to be forgotten', performance.now() + EVEN_MS_MAX, async () => {
        const view = await cluster.view('node-1');
        return view?.nodes.every(({ node }) => node !== 'node-4') === true;
      });
      return shares;
    });
  },
};

async function startEven({ cluster, load, step }: Stage): Promise<void> {
  await step('the beginning', () => cluster.even({ stores: THREE, copies: 3 }, EVEN_MS_MAX));
  await flowing(load);
}

/** One node leads everything and everything is read from it: what is damaged there is found. */
async function readEverythingAt({ cluster, load }: Stage, name: string): Promise<string> {
  const others = THREE.filter((one) => one !== name);
  for (const other of others) await cluster.command('drain', other);
  await cluster.even({ stores: THREE, copies: 3, leaderless: others }, EVEN_MS_MAX);
  const reader = new Consumer('later/+#early', 5, 'later/+', cluster.target, load.history);
  try {
    await until('the backlog to be read', performance.now() + EVEN_MS_MAX, async () => {
      const depth = (await load.figures(await cluster.anyRest())).get('later/+')?.depth_messages;
      return depth !== undefined && depth < BACKLOG_READ;
    });
  } finally {
    reader.end();
  }
  for (const other of others) await cluster.command('undrain', other);
  const shares = await cluster.even({ stores: THREE, copies: 3 }, EVEN_MS_MAX);
  const found = readFileSync(cluster.node(name).logFile, 'utf8').match(/cannot be trusted/g)?.length ?? 0;
  const snapshots = await cluster.metric(name, 'sluice_raft_snapshots_received_total', 'outcome="installed"');
  return `${found} replicas were found damaged, ${snapshots} snapshots; ${shares}`;
}

/** It must be somebody new afterwards, of whom nobody has heard as the former. */
async function replaced(stage: Stage, name: string, harm: Harm): Promise<string> {
  const { told, formerId, id } = await harmed(stage, name, harm);
  if (id === formerId) throw new Error(`${name} came back as ${formerId}, which it had been before`);
  return told;
}

/** What is damaged is found when it is read, or at the start; either way the node has everything again. */
async function mended(stage: Stage, name: string, harm: Harm): Promise<string> {
  return (await harmed(stage, name, harm)).told;
}

type Harm = (node: MovingNode) => string;

async function harmed({ cluster, load }: Stage, name: string, harm: Harm) {
  const node = cluster.node(name);
  const other = THREE.find((one) => one !== name) as string;
  const formerId = await idOf(name, () => cluster.view(other));
  if (harm !== lose)
    await until('segments', performance.now() + SEGMENTS_MS_MAX, async () => segments(node).length > 2);
  await node.kill();
  const what = harm(node);
  await flowing(load);
  await cluster.restart(name);
  const shares = await cluster.even({ stores: THREE, copies: 3 }, EVEN_MS_MAX);
  const id = await idOf(name, () => cluster.view(other));
  const impaired = await cluster.metric(name, 'sluice_raft_impaired_groups');
  const snapshots = await cluster.metric(name, 'sluice_raft_snapshots_received_total', 'outcome="installed"');
  const told = `${what}; it was ${formerId} and is ${id}, ${snapshots} snapshots, ${impaired} impaired; ${shares}`;
  return { told, formerId, id };
}

async function idOf(name: string, look: () => Promise<ClusterView | undefined>): Promise<number> {
  return await until(`the id of ${name}`, performance.now() + EVEN_MS_MAX, async () => {
    const known = (await look())?.nodes.filter(({ node }) => node === name) ?? [];
    return known.length === 1 && known[0]?.node_id;
  });
}

function lose({ data, name }: MovingNode): string {
  rmSync(data, { recursive: true });
  return `the data of ${name} removed`;
}

/** Of the `which`th segment, in age. */
function flip(which: number, places = 1): Harm {
  return (node) => {
    const path = segments(node).at(which) as string;
    const bytes = readFileSync(path);
    // The newest is written to its end; the space behind is not.
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    const step = Math.floor(end / (places + 1));
    for (let at = step; at <= places * step; at += step) {
      for (let i = at; i < at + 16; i++) bytes[i] = (bytes[i] ?? 0) ^ 0x20;
    }
    writeFileSync(path, bytes);
    return `${places} places from byte ${step} of ${end} in ${path.split('/').at(-1)}, segment ${which} of ${segments(node).length}`;
  };
}

function segments({ data }: MovingNode): string[] {
  const folder = join(data, 'log');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.log') && statSync(join(folder, name)).size > 0)
    .sort()
    .map((name) => join(folder, name));
}
