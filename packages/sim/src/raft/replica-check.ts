import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { groupRange, machineKey } from '@sluice/multiraft/disk/keyspace';
import type { SimWorld } from '../sim-world.ts';
import { driven, Violation } from '../simulation.ts';
import type { LedgerGroup } from './ledger-group.ts';
import { decodeCommand, indexOfEntryKey } from './ledger-machine.ts';
import type { RaftNode } from './raft-node.ts';

/**
 * At the end, when all replicas stand at one index: their rows are equal byte for byte, hold what was acknowledged and
 * nothing else, and every entry that still lives is in the log of every replica, as it was written.
 */
export async function checkReplicas(
  world: SimWorld,
  groups: readonly LedgerGroup[],
  nodes: ReadonlyMap<number, RaftNode>,
): Promise<void> {
  for (const group of groups) {
    let first: { name: string; rows: Map<string, string> } | undefined;
    for (const id of group.target) {
      const node = nodes.get(id) as RaftNode;
      const rows = await inLife(world, node, () => rowsOf(node, group.groupId));
      group.proposals.atTheEnd(node.name, booked(rows));
      first ??= { name: node.name, rows };
      compare(group.groupId, first, { name: node.name, rows });
      await inLife(world, node, () => checkLiveEntries(node, group.groupId, rows));
    }
  }
}

function inLife<T>(world: SimWorld, node: RaftNode, act: () => Promise<T>): Promise<T> {
  const started = new Promise<T>((resolve, reject) => {
    world.after(0, node.life, () => act().then(resolve, reject));
  });
  return driven(world, started, 600_000);
}

/** Keys and values as latin1. */
async function rowsOf(node: RaftNode, groupId: number): Promise<Map<string, string>> {
  const { storage, host } = node;
  if (storage === undefined || host === undefined) throw new Violation('liveness', `${node.name} is not up`);
  await host.written();
  const { from, to } = groupRange(groupId);
  const rows = new Map<string, string>();
  for (const { key, value } of await storage.engine.scan(from, to, Number.MAX_SAFE_INTEGER)) {
    rows.set(latin1(machineKey(key)), latin1(value));
  }
  return rows;
}

function booked(rows: ReadonlyMap<string, string>): Map<number, number> {
  const byId = new Map<number, number>();
  for (const [key, value] of rows) {
    if (key.startsWith('I')) byId.set(new ByteReader(bytes(key), 1).u53(), new ByteReader(bytes(value)).u53());
  }
  return byId;
}

interface Held {
  name: string;
  rows: Map<string, string>;
}

function compare(groupId: number, a: Held, b: Held): void {
  for (const [key, value] of a.rows) {
    if (b.rows.get(key) !== value) throw differ(groupId, a, b, key);
  }
  for (const key of b.rows.keys()) if (!a.rows.has(key)) throw differ(groupId, a, b, key);
}

function differ(groupId: number, a: Held, b: Held, key: string): Violation {
  const hex = Buffer.from(bytes(key)).toString('hex');
  return new Violation('replica agreement', `group ${groupId}: ${a.name} and ${b.name} differ in row ${hex}`);
}

async function checkLiveEntries(node: RaftNode, groupId: number, rows: ReadonlyMap<string, string>): Promise<void> {
  const { storage } = node;
  for (const [key, value] of rows) {
    if (!key.startsWith('E')) continue;
    const index = indexOfEntryKey(bytes(key));
    const id = new ByteReader(bytes(value)).u53();
    const [entry] = (await storage?.entryLog.read(groupId, index, index, 1)) ?? [];
    if (entry?.index !== index || decodeCommand(entry.data).id !== id) {
      throw new Violation('live entries kept', `${node.name} group ${groupId}: entry ${index} is not what was booked`);
    }
  }
}

function latin1(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}
