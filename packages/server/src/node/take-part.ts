import { setTimeout as delay } from 'node:timers/promises';
import type { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { levelUnsupported, SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import type { NodeInfo } from '@sluice/meta/node-info';
import { formatAddress } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import { confirmCluster } from '../identity/confirm-cluster.ts';
import { GIVEN_UP } from '../identity/own-place.ts';
import { rememberCluster } from '../identity/remembered-member.ts';
import type { NodeParts } from './compose-node.ts';
import { isLost, servedPartitions } from './served-partitions.ts';

/**
 * From here on the node takes part in its cluster; resolves when it serves.
 *
 * Each of these steps may wait for ever: for a coordinator that leads, for leaders of its partitions, for its own disk. So
 * what would make the wait endless (the storage fails, the data is of another cluster) ends it, and whoever looks is told
 * what is waited for.
 */
export async function takePart(parts: NodeParts, config: ServerConfig, logger: Logger): Promise<void> {
  const { host, coordinator, store, watcher, gateway, topology, link, place } = parts;
  host?.start();
  coordinator?.start();
  let nodes: readonly NodeInfo[] = [];
  let level = 0;
  watcher.onChange((_topology, what) => {
    // The same list while no node changed: most news are of queues, and cost nothing here.
    const isOfNodes = topology.nodes() !== nodes;
    nodes = topology.nodes();
    followClusterId(parts);
    place.look();
    if (isOfNodes) {
      for (const { nodeId, address, name, state } of nodes) {
        if (address !== '') link.addresses.set(nodeId, address, name);
        if (state === 'gone') link.addresses.retire(nodeId);
      }
    }
    store?.topologyChanged();
    gateway?.topologyChanged();
    const isOfLevel = topology.featureLevel.level !== level;
    level = topology.featureLevel.level;
    if (isOfNodes || isOfLevel || what !== 'delta') void rememberCluster(parts, logger);
  });
  watcher.start();
  // A node that fails now would never serve, and the wait would have no end.
  const failing = host?.failing() ?? new Promise<never>(() => {});
  // Then it is known who leads: asked before, nobody would, and it is asked again only after a while.
  const registered = watcher.imaged().then(() => register(parts));
  const telling = setInterval(() => parts.health.waitsFor(takingPart(parts)), LOOK_AT_WAIT_MS);
  const foreign = foreignData(parts, config);
  await Promise.race([registered, failing, foreign]).finally(() => clearInterval(telling));
  await Promise.race([servedPartitions(parts, logger), failing, foreign]);
  await Promise.race([Promise.resolve(store?.settled()), failing, foreign]);
  await gateway?.listen((partition) => isLost(parts, partition));
  // Who was asked may answer when this node serves already: a cluster of one is ready before anybody can.
  foreign.catch((cause: SluiceError) => place.isForeign(cause));
  if (config.node.roles.has('store') && topology.replicationFactor > 1) {
    logger.info({ node: parts.name, nodeId: parts.nodeId, cluster: topology.clusterId }, 'this node is in its cluster');
  }
}

/**
 * Data from before nodes had identities has a cluster in its metadata already, whose id is known with the first image. Until
 * then the node goes by one of its own, under which nobody looks for it.
 */
function followClusterId({ ground, topology, link, nodeId }: NodeParts): void {
  if (!ground.wasAlone || topology.clusterId === ground.identity.member?.clusterId) return;
  link.setIdentity({ clusterId: topology.clusterId, nodeId });
}

/** The metadata knows where this node is now, and that it is back. Asked until somebody who leads has said so. */
async function register({ metadata, registration, nodeId, place, topology }: NodeParts): Promise<void> {
  for (;;) {
    const outcome = await metadata.execute({ kind: 'register-node', node: registration, nodeId });
    const result = outcome?.reply.result;
    if (result === 'done' || result === 'unchanged') return;
    if (result === 'level-unsupported') throw levelUnsupported(topology.featureLevel.level, SUPPORTED_LEVELS);
    if (result !== undefined && result !== 'not-formed') {
      throw await place.refused(`the cluster refused this node, ${GIVEN_UP}: ${result}`);
    }
    await delay(REGISTER_AGAIN_MS);
  }
}

const REGISTER_AGAIN_MS = 100;
/** A start that takes no longer has nothing to say. */
const LOOK_AT_WAIT_MS = 1_000;

/** Rejects when the data is of another cluster than the nodes in the join list; nobody waits for those that are silent. */
function foreignData({ ground, link }: NodeParts, config: ServerConfig): Promise<never> {
  const { identity, directory, wasAlone } = ground;
  return new Promise((_, reject) => {
    // Of data that was taken over just now, the cluster is known with the first image.
    if (identity.member === undefined || wasAlone) return;
    const own = { address: link.advertised, incarnation: identity.incarnation };
    const join = config.node.join.map(formatAddress);
    confirmCluster({ clusterId: identity.member.clusterId, directory, own, join, ask: link.ask }).catch(reject);
  });
}

/** What a node that has its place waits for, in words. */
function takingPart({ watcher, ground, link }: NodeParts): string {
  const coordinators = ground.identity.member?.coordinators ?? [];
  const asked = coordinators.map(({ nodeId, address }) => link.addresses.addressOf(nodeId) ?? address).join(', ');
  const who =
    watcher.coordinator === 0 ? 'a coordinator that leads' : 'the coordinator that leads to take this node in';
  return `waiting for ${who}: asked ${asked}`;
}
