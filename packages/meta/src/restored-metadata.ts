import { decodeMetaRow, encodeMetaRow, HEAD_KEY, keyOfNode, keyOfPartition } from './meta-rows.ts';
import { LONE_FOUNDER, type NodeInfo } from './node-info.ts';

interface Row {
  key: Uint8Array;
  value: Uint8Array;
}

/**
 * The metadata of a backup as that of a cluster that begins with one node: definitions, users, rules, bans and settings stay,
 * with their ids and versions; nodes and places are the new cluster's own.
 *
 * The node gets an id that nobody had. What is in the partitions speaks of gateways by their ids, and a session whose
 * gateway seems to live would wait for it for ever. The cluster is another one as well: nodes of the former that still run
 * must not take this one for theirs.
 */
export function restoredMetadata(
  rows: readonly Row[],
  cluster: { clusterId: string; incarnation: string },
): { rows: Row[]; nodeId: number; partitionCount: number } | undefined {
  const headRow = rows.find(({ key }) => Buffer.compare(key, HEAD_KEY) === 0);
  const decoded = headRow === undefined ? undefined : decodeMetaRow(headRow.key, headRow.value);
  if (decoded?.table !== 'head' || decoded.row.clusterId === '') return undefined;
  const head = decoded.row;
  const nodeId = Math.max(LONE_FOUNDER.nodeId + 1, head.nextNodeId ?? 0);
  const epoch = head.epoch + 1;
  const restored: Row[] = [];
  const put = (key: Uint8Array, row: Parameters<typeof encodeMetaRow>[0]): void => {
    restored.push({ key, value: encodeMetaRow(row) });
  };
  for (const row of rows) {
    const { table } = decodeMetaRow(row.key, row.value);
    if (table === 'queue' || table === 'access') restored.push(row);
  }
  put(HEAD_KEY, {
    ...head,
    format: head.format === 1 ? 2 : head.format,
    epoch,
    layoutEpoch: epoch,
    clusterId: cluster.clusterId,
    replicationFactor: head.replicationFactor ?? 1,
    nextNodeId: nodeId + 1,
  });
  const node: NodeInfo = { ...LONE_FOUNDER, nodeId, incarnation: cluster.incarnation };
  put(keyOfNode(nodeId), node);
  for (let partition = 1; partition <= head.partitionCount; partition++) {
    put(keyOfPartition(partition), { partition, replicas: [nodeId], preferredLeader: nodeId, bootstrap: false });
  }
  restored.sort((a, b) => Buffer.compare(a.key, b.key));
  return { rows: restored, nodeId, partitionCount: head.partitionCount };
}
