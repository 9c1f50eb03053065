import type { Logger } from '@sluice/common/logger';
import type { ClusterManagement, ClusterNode, ClusterStatus, NodeWish } from '@sluice/rpc/contract/cluster-management';
import type { FastifyInstance } from 'fastify';
import { badFields, badRequest } from '../api-error.ts';
import { objectSchema, readFields } from '../field/field.ts';
import { booleanField, integerField } from '../field/scalar-fields.ts';
import { granted } from '../outcome.ts';
import { addRoute, answers } from '../route.ts';

const FIELDS = {
  replication_factor: integerField({
    description: 'Copies of every message, on as many stores. Partitions follow while traffic goes on.',
    default: 3,
    min: 1,
    max: 7,
  }),
  feature_level_held: booleanField({
    description: 'Whether the feature level stays where it is, so that nodes of a former build may come back.',
    default: false,
  }),
};

const NODE_PROPERTIES = {
  node: { type: 'string', example: 'store-1' },
  node_id: { type: 'integer', description: 'Given once; a node that lost its disk comes back with another.' },
  address: { type: 'string', description: 'Where other nodes reach it.', example: '10.0.0.5:5370' },
  roles: { type: 'array', items: { type: 'string', enum: ['gateway', 'store', 'coordinator'] } },
  rack: { type: 'string', description: 'Failure domain; empty when none was given.' },
  version: { type: 'string' },
  feature_levels: {
    type: ['object', 'null'],
    description: 'Which feature levels its build supports; null while the leading coordinator does not hear from it.',
    required: ['min', 'max'],
    additionalProperties: false,
    properties: { min: { type: 'integer' }, max: { type: 'integer' } },
  },
  state: {
    type: 'string',
    enum: ['active', 'draining', 'leaving'],
    description: '`draining` leads nothing and gets no new clients; `leaving` gives its copies to others as well.',
  },
  alive: { type: 'boolean', description: 'Whether the leading coordinator hears from it.' },
  leads: { type: 'integer', description: 'Partitions it leads.' },
  replicas: { type: 'integer', description: 'Partitions it shall have a copy of.' },
};

export const CLUSTER_NODE_SCHEMA = {
  $id: 'ClusterNode',
  title: 'A node of the cluster',
  type: 'object',
  required: Object.keys(NODE_PROPERTIES),
  additionalProperties: false,
  properties: NODE_PROPERTIES,
};

export const CLUSTER_SCHEMA = {
  $id: 'Cluster',
  title: 'The cluster as this node knows it',
  type: 'object',
  required: [
    'name',
    'epoch',
    'replication_factor',
    'feature_level',
    'feature_level_held',
    'coordinator',
    'nodes',
    'partitions',
    'problems',
  ],
  additionalProperties: false,
  properties: {
    name: { type: 'string', description: 'The identity of the cluster.' },
    self: { type: 'string', description: 'The node that answers.' },
    epoch: { type: 'integer', description: 'Grows with every change of the metadata.' },
    replication_factor: { type: 'integer' },
    feature_level: {
      type: 'integer',
      description:
        'What every node can read may be written. Rises by itself when all nodes are upgraded, and never falls.',
    },
    feature_level_held: { type: 'boolean', description: 'It does not rise while that is so.' },
    coordinator: {
      type: ['string', 'null'],
      description:
        'Leads the metadata, as this node knows it; null while none answers: messages flow, nothing can be changed.',
    },
    nodes: { type: 'array', items: { $ref: 'ClusterNode#' } },
    partitions: {
      type: 'array',
      items: {
        type: 'object',
        required: ['partition', 'leader', 'replicas'],
        additionalProperties: false,
        properties: {
          partition: { type: 'integer' },
          leader: { type: ['string', 'null'], description: 'null while nobody is known to lead.' },
          replicas: { type: 'array', items: { type: 'string' }, description: 'Nodes that shall have a copy.' },
        },
      },
    },
    problems: {
      type: 'array',
      description: 'What an operator should know, the worst first; empty while all is well.',
      items: {
        type: 'object',
        required: ['severity', 'message', 'hint'],
        additionalProperties: false,
        properties: {
          severity: {
            type: 'string',
            enum: ['failing', 'degraded', 'notice'],
            description:
              '`failing`: something does not work now; `degraded`: one failure more may change that everything works; `notice`: somebody wanted it so.',
          },
          message: { type: 'string', example: 'store-2 is not heard of: 11 copies of partitions are away.' },
          hint: { type: 'string', description: 'What to do.' },
        },
      },
    },
  },
};

/** `POST /api/v5/nodes/:node/<verb>`: what becomes of the node. */
const WISHES: readonly { verb: string; state: NodeWish; summary: string; description: string }[] = [
  {
    verb: 'drain',
    state: 'draining',
    summary: 'Drain a node',
    description: 'Others lead its partitions and take its clients; its copies stay. Before a restart or a repair.',
  },
  {
    verb: 'undrain',
    state: 'active',
    summary: 'Take a node back into service',
    description: 'Ends a drain or a leave.',
  },
  {
    verb: 'leave',
    state: 'leaving',
    summary: 'Decommission a node',
    description: 'Its copies are made on other stores. Stop it when `replicas` has become 0.',
  },
];

export function addClusterRoutes(
  app: FastifyInstance,
  { cluster, nodeName, logger }: { cluster: ClusterManagement; nodeName: string; logger: Logger },
): void {
  addRoute(app, {
    method: 'GET',
    paths: ['/api/v5/cluster'],
    access: 'read',
    schema: {
      operationId: 'getCluster',
      tags: ['Operations'],
      summary: 'The cluster: its nodes, its partitions and who leads them',
      response: answers({ 200: { description: 'The cluster', $ref: 'Cluster#' } }, 401, 403, 503),
    },
    handle: async () => clusterView(granted(cluster.status()), nodeName),
  });

  addRoute(app, {
    method: 'PUT',
    paths: ['/api/v5/cluster'],
    access: 'write',
    schema: {
      operationId: 'updateCluster',
      tags: ['Operations'],
      summary: 'Change how many copies are kept, or hold the feature level',
      body: objectSchema(FIELDS, [], { example: { replication_factor: 3 } }),
      response: answers({ 200: { description: 'The cluster', $ref: 'Cluster#' } }, 400, 401, 403, 503),
    },
    handle: async ({ body, identity }) => {
      const { values, problems } = readFields(FIELDS, body, () => undefined);
      if (problems.length > 0) throw badFields(problems);
      const { replication_factor, feature_level_held } = values;
      if (replication_factor === undefined && feature_level_held === undefined) {
        throw badRequest('say replication_factor or feature_level_held');
      }
      let changed: Partial<ClusterStatus> = {};
      if (replication_factor !== undefined) {
        const replicationFactor = granted(await cluster.setReplicationFactor(replication_factor));
        logger.info({ key: identity?.key, copies: replicationFactor }, 'number of copies changed');
        changed = { replicationFactor };
      }
      if (feature_level_held !== undefined) {
        const featureLevel = granted(await cluster.holdFeatureLevel(feature_level_held));
        logger.info(
          { key: identity?.key, featureLevel: featureLevel.level, isHeld: featureLevel.isHeld },
          'whether the feature level is held changed',
        );
        changed = { ...changed, featureLevel };
      }
      return clusterView({ ...granted(cluster.status()), ...changed }, nodeName);
    },
  });

  for (const { verb, state, summary, description } of WISHES) {
    addRoute(app, {
      method: 'POST',
      paths: [`/api/v5/nodes/:node/${verb}`],
      access: 'write',
      schema: {
        operationId: `${verb}Node`,
        tags: ['Operations'],
        summary,
        description,
        params: { type: 'object', properties: { node: { type: 'string', description: 'Name of the node.' } } },
        response: answers({ 200: { description: 'The node', $ref: 'ClusterNode#' } }, 400, 401, 403, 404, 503),
      },
      handle: async ({ params, identity }) => {
        const node = granted(await cluster.setNodeState(params.node ?? '', state));
        logger.info({ key: identity?.key, node: node.name, state }, 'state of a node changed');
        return nodeView(node);
      },
    });
  }
}

function clusterView(status: ClusterStatus, nodeName: string): Record<string, unknown> {
  return {
    name: status.clusterId,
    self: nodeName,
    epoch: status.epoch,
    replication_factor: status.replicationFactor,
    feature_level: status.featureLevel.level,
    feature_level_held: status.featureLevel.isHeld,
    coordinator: status.coordinator,
    nodes: status.nodes.map(nodeView),
    partitions: status.partitions,
    problems: status.problems,
  };
}

function nodeView({ nodeId, name, featureLevels, ...rest }: ClusterNode): Record<string, unknown> {
  return { node: name, node_id: nodeId, feature_levels: featureLevels, ...rest };
}
