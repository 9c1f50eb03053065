import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../faults/load.ts';
import type { ClusterView, MovingNode } from './moving-cluster.ts';
import { flowing, type Play, type Stage } from './play.ts';

const EVEN_MS_MAX = 180_000;
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
    await stage.step('bytes amid a sealed segment of node-3 are flipped', () => mended(stage, 'node-3', flip(1)));
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

async function startEven({ cluster, load, say }: Stage): Promise<void> {
  say(await cluster.even({ stores: THREE, copies: 3 }, EVEN_MS_MAX));
  await flowing(load);
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
function flip(which: number): Harm {
  return (node) => {
    const path = segments(node).at(which) as string;
    const bytes = readFileSync(path);
    // The newest is written to its end; the space behind is not.
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    const at = Math.floor(end / 2);
    for (let i = at; i < at + 16; i++) bytes[i] = (bytes[i] ?? 0) ^ 0x20;
    writeFileSync(path, bytes);
    return `byte ${at} of ${end} in ${path.split('/').at(-1)}, segment ${which} of ${segments(node).length}`;
  };
}

function segments({ data }: MovingNode): string[] {
  const folder = join(data, 'log');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.log') && statSync(join(folder, name)).size > 0)
    .sort()
    .map((name) => join(folder, name));
}
