import { Metadata } from '@grpc/grpc-js';

/** Who a node is, once it is somebody. */
export interface NodeIdentity {
  clusterId: string;
  nodeId: number;
}

const CLUSTER = 'sluice-cluster';
const FROM = 'sluice-from';
const TO = 'sluice-to';

/** What every stream and call says of itself. */
export function metadataOf(identity: NodeIdentity, to: number): Metadata {
  const metadata = new Metadata();
  metadata.set(CLUSTER, identity.clusterId);
  metadata.set(FROM, String(identity.nodeId));
  metadata.set(TO, String(to));
  return metadata;
}

export type IdentityRefusal = 'no-identity' | 'no-cluster' | 'wrong-cluster' | 'wrong-node' | 'bad-sender';

/**
 * A node that was given an address of another cluster, or the former address of another node, must not be believed by
 * accident: two clusters that exchange Raft messages lose both their logs.
 *
 * @returns the sender's node id, or why it is refused.
 */
export function senderOf(metadata: Metadata, own: NodeIdentity | undefined): number | IdentityRefusal {
  if (own === undefined) return 'no-identity';
  const cluster = metadata.get(CLUSTER)[0];
  if (cluster === undefined) return 'no-cluster';
  if (cluster !== own.clusterId) return 'wrong-cluster';
  if (nodeIdIn(metadata, TO) !== own.nodeId) return 'wrong-node';
  const from = nodeIdIn(metadata, FROM);
  return from === undefined || from === own.nodeId ? 'bad-sender' : from;
}

function nodeIdIn(metadata: Metadata, key: string): number | undefined {
  const text = metadata.get(key)[0];
  if (typeof text !== 'string' || !/^[1-9][0-9]{0,15}$/.test(text)) return undefined;
  const nodeId = Number(text);
  return Number.isSafeInteger(nodeId) ? nodeId : undefined;
}
