import type { Peer } from '../run/peer.ts';
import { AEDES } from './aedes.ts';
import { MOSQUITTO } from './mosquitto.ts';
import { natsOf } from './nats.ts';
import { rabbitOf } from './rabbitmq.ts';
import { REDIS } from './redis.ts';
import { type Runtime, sluiceOf } from './sluice.ts';

/** In the order of the tables: those that keep three copies, those that keep one, those that keep none. */
export const ALL_PEERS: readonly Peer[] = [
  sluiceOf('sluice-3'),
  sluiceOf('sluice-tiers'),
  rabbitOf({ nodes: 3, publishedBy: 'amqp' }),
  rabbitOf({ nodes: 3, publishedBy: 'mqtt' }),
  natsOf(3),
  sluiceOf('sluice-1'),
  rabbitOf({ nodes: 1, publishedBy: 'amqp' }),
  natsOf(1),
  REDIS,
  MOSQUITTO,
  AEDES,
];

/** Measured only when named: other cuts of one node, which answer a question of ours and no user's. */
export const PEERS_BY_NAME: readonly Peer[] = [sluiceOf('sluice-1-apart'), sluiceOf('sluice-1-two')];

/** Sluice on another version of Node.js, beside itself. */
export function peersOn(runtime: Runtime): Peer[] {
  return [sluiceOf('sluice-1', { runtime }), sluiceOf('sluice-3', { runtime })];
}
