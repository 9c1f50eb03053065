import { keysOf, Load, type LoadSpec, type PublisherSpec, within } from '../faults/load.ts';
import type { ClusterUnderTest } from './cluster-under-test.ts';

const CREATE_MS_MAX = 30_000;
const queue = { is_lastvalue: false };
/** Twelve publishers together make some 250 messages a second: faults are to be seen, not the limits of the machine. */
const PACE = { paceMs: 45, bytesMax: 2_000 };

function publisher(name: string, version: 4 | 5, topics: readonly string[], qos: 1 | 2 = 1): PublisherSpec {
  return { name, version, qos, topics, ...PACE };
}

/**
 * What a cluster is for, in small: shared work with quick and slow workers on all gateways, a queue with one consumer
 * that is owed its order, one over four partitions, last values, and a backlog that nobody takes until the faults are
 * over, which shows the order of the log.
 */
export const CLUSTER_LOAD: LoadSpec = {
  queues: [
    {
      name: 'tasks/+',
      isLastValue: false,
      takes: within('tasks/'),
      definition: { ...queue, dispatch_strategy: 'least_inflight' },
      consumers: [{ version: 5 }, { version: 4 }, { version: 5, workMs: 20 }, { version: 4, workMs: 5 }],
      order: 'consumer',
    },
    {
      name: 'turns/+',
      isLastValue: false,
      takes: within('turns/'),
      definition: { ...queue, dispatch_strategy: 'round_robin' },
      consumers: [{ version: 5 }, { version: 4, workMs: 5 }],
      order: 'consumer',
    },
    {
      name: 'strict/+',
      isLastValue: false,
      takes: within('strict/'),
      definition: { ...queue, dispatch_strategy: 'random' },
      consumers: [{ version: 5 }],
      order: 'consumer',
    },
    {
      name: 'spread/+',
      isLastValue: false,
      takes: within('spread/'),
      definition: { ...queue, dispatch_strategy: 'least_inflight', partitions: 4 },
      consumers: [{ version: 4 }, { version: 5 }, { version: 5, workMs: 5 }],
      order: 'consumer',
    },
    {
      name: 'state/+',
      isLastValue: true,
      takes: within('state/'),
      definition: { is_lastvalue: true, key_expression: 'message.topic', dispatch_strategy: 'random' },
      consumers: [{ version: 5 }],
    },
    {
      name: 'later/+',
      isLastValue: false,
      takes: within('later/'),
      definition: { ...queue, dispatch_strategy: 'random' },
      consumers: [],
      order: 'stored',
    },
  ],
  publishers: [
    publisher('a', 5, ['tasks/a']),
    publisher('b', 4, ['tasks/b']),
    publisher('c', 5, ['turns/c'], 2),
    publisher('d', 5, ['strict/d']),
    publisher('e', 4, ['strict/e']),
    publisher('f', 5, ['spread/f']),
    publisher('g', 4, ['spread/g']),
    publisher('h', 5, ['spread/h']),
    publisher('i', 5, keysOf('i')),
    publisher('j', 4, keysOf('j')),
    publisher('k', 5, ['later/k']),
    publisher('l', 4, ['later/l'], 2),
  ],
};

export async function loadCluster(
  cluster: ClusterUnderTest,
  seed: number,
  spec: LoadSpec = CLUSTER_LOAD,
): Promise<Load> {
  await Load.createQueues(cluster.rest(cluster.gateways()[0]?.name as string, CREATE_MS_MAX), spec);
  return new Load((client) => cluster.targetOf(client), seed, spec);
}
