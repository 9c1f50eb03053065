import { randomUUID } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import type { Founder } from '@sluice/rpc/contract/cluster';

/**
 * Who this data directory is, in a file of its own beside the data. The id is a promise about the data: what was voted
 * and acknowledged under it is here. So it is never typed into a configuration, where it would outlive the disk: an empty
 * directory has no id, and gets one that nobody had before.
 */
export interface NodeIdentity {
  /** Made once, with the directory. */
  incarnation: string;
  /** Undefined until the node has founded or joined a cluster. */
  member: Member | undefined;
}

export interface Member {
  nodeId: number;
  clusterId: string;
  /** Whom it founded the cluster with; empty when it joined. */
  foundedWith: readonly Founder[];
  /** Of every message, as last known: with more than one, what is damaged here can be had from others. */
  copies: number;
  /** As last known: where to ask first after a start. */
  coordinators: readonly { nodeId: number; address: string }[];
  /** Feature level of the cluster, as last known; undefined: the first. A build that does not support it does not start. */
  featureLevel?: number;
  /** All other nodes, as last known: peers are reached while no coordinator says where they are. */
  nodes?: readonly { nodeId: number; address: string; name?: string }[];
}

const FILE = 'node.json';
const FORMAT = 1;
const NEWER_HINT = 'start the version that wrote it, or a newer one; the data is whole';
const ABSENT: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR']);

/** Undefined for a directory that is nobody yet. */
export async function readIdentity(directory: string): Promise<NodeIdentity | undefined> {
  const path = join(directory, FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    // Whoever opens the directory says what is wrong with it.
    if (!ABSENT.has((cause as NodeJS.ErrnoException).code)) throw cause;
    return undefined;
  }
  try {
    const { format, incarnation, member } = JSON.parse(text) as { format: number } & NodeIdentity;
    // Nothing is damaged, and an empty directory would be the wrong cure.
    if (format > FORMAT)
      throw new SluiceError('NEWER_FORMAT', `${path} was written by a newer version (format ${format})`, {
        hint: NEWER_HINT,
      });
    if (format !== FORMAT || typeof incarnation !== 'string') throw new Error(`format ${format}`);
    return { incarnation, member: member ?? undefined };
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    throw new SluiceError('IDENTITY_DAMAGED', `${path} does not say who this node is: ${(cause as Error).message}`, {
      hint: 'restore the file from a backup, or give the node an empty data directory: it then joins as a new one and gets its data from its peers',
      cause,
    });
  }
}

/** Nobody yet, and nobody who was anybody. */
export function blankIdentity(): NodeIdentity {
  return { incarnation: randomUUID(), member: undefined };
}

/** A new one, and its file. Only for who holds the lock of the directory. */
export async function makeIdentity(directory: string): Promise<NodeIdentity> {
  const blank = blankIdentity();
  await saveIdentity(directory, blank);
  return blank;
}

/** Durable when it resolves, and whole or unchanged after a crash. */
export async function saveIdentity(directory: string, identity: NodeIdentity): Promise<void> {
  const path = join(directory, FILE);
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ format: FORMAT, ...identity }, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
