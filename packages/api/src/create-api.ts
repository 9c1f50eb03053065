import type { RequestListener, Server } from 'node:http';
import swagger from '@fastify/swagger';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { AccessManagement } from '@sluice/rpc/contract/access-management';
import type { BackupManagement } from '@sluice/rpc/contract/backup-management';
import type { ClusterManagement } from '@sluice/rpc/contract/cluster-management';
import type { ConnectionBalance } from '@sluice/rpc/contract/gateway-load';
import type { QueueManagement } from '@sluice/rpc/contract/queue-management';
import type { RetainedManagement } from '@sluice/rpc/contract/retained-management';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { addBanRoutes, BAN_PAGE_SCHEMA, BAN_SCHEMA } from './access/ban-routes.ts';
import { RULE_SCHEMA } from './access/rule-fields.ts';
import { addRuleRoutes, RULE_LIST_SCHEMA, RULE_PAGE_SCHEMA } from './access/rule-routes.ts';
import { addUserRoutes, USER_PAGE_SCHEMA, USER_SCHEMA } from './access/user-routes.ts';
import { badRequest, ERROR_SCHEMA } from './api-error.ts';
import type { ApiKeyStore } from './auth/api-key-store.ts';
import { authenticate, authorize } from './auth/authenticate.ts';
import { guardAgainstBrowsers } from './auth/browser-guard.ts';
import { addBackupRoutes, BACKUP_SCHEMA } from './backup/backup-routes.ts';
import { addClusterRoutes, CLUSTER_NODE_SCHEMA, CLUSTER_SCHEMA } from './cluster/cluster-routes.ts';
import { addRebalanceRoutes, REBALANCE_SCHEMA } from './cluster/rebalance-routes.ts';
import { addConfigRoutes, configSchema } from './config/config-routes.ts';
import { addDocsRoutes } from './docs/docs-routes.ts';
import { documentHead } from './docs/document-head.ts';
import { addErrorHandlers, addJsonParser, BODY_BYTES_MAX, errorAnswer } from './errors.ts';
import { addMethodFallbacks, addNotFoundHandler, collectMethods } from './fallbacks.ts';
import { addHealthRoutes, HEALTH_SCHEMA } from './ops/health-routes.ts';
import type { HealthSource } from './ops/health-view.ts';
import { addMetricsDetailRoutes, addMetricsRoute, type MetricsDetail } from './ops/metrics-routes.ts';
import { type ApiNode, addNodeRoutes, NODES_SCHEMA } from './ops/node-routes.ts';
import { addMessageRoutes, MESSAGE_PAGE_SCHEMA, PURGE_SCHEMA } from './queue/message-routes.ts';
import type { ValidateKeyExpression } from './queue/queue-fields.ts';
import { createQueueInput } from './queue/queue-input.ts';
import { addQueueRoutes } from './queue/queue-routes.ts';
import { QUEUE_PAGE_SCHEMA, QUEUE_SCHEMA } from './queue/queue-view.ts';
import { addStatisticsRoutes, QUEUE_STATISTICS_SCHEMA, STATISTICS_PAGE_SCHEMA } from './queue/statistics-routes.ts';
import { addRetainedRoutes, RETAINED_MESSAGE_SCHEMA, RETAINED_PAGE_SCHEMA } from './retained/retained-routes.ts';

export interface ApiOptions {
  queues: QueueManagement;
  cluster: ClusterManagement;
  connections: ConnectionBalance;
  retained: RetainedManagement;
  access: AccessManagement;
  backup: BackupManagement;
  validateKeyExpression: ValidateKeyExpression;
  apiKeys: ApiKeyStore;
  /** Whether calls without a key are an administrator's. */
  anonymous: boolean;
  health: HealthSource;
  nodes: () => readonly ApiNode[];
  /** The node that answers. */
  nodeName: string;
  version: string;
  logger: Logger;
  clock: Clock;
  /** The page for Prometheus; without it there is no /metrics. */
  metricsText?: () => Promise<string>;
  /** The pages of the detail. */
  metricsDetail?: MetricsDetail;
  /** Whether gateways create queues for subscriptions; without it the setting is refused rather than ignored. */
  autoCreate?: boolean;
}

export interface Api {
  /** Resolves when requests are answered. */
  ready(): Promise<void>;
  close(): Promise<void>;
  /** Requests without a socket, for tests. */
  inject: FastifyInstance['inject'];
}

/** A filter may be long and each of its bytes three characters; Node refuses request lines beyond 16 KB. */
const PARAMETER_CHARACTERS_MAX = 16_384;

/**
 * The HTTP side of a node: REST as EMQX's clients know it, our additions, health, metrics, and the document that
 * describes them. It holds no state: everything is asked of the ports in `ApiOptions`. `attach` gives its handler to the
 * server of an `ApiListener`; without it requests come through `inject` only.
 */
export function createApi(options: ApiOptions, attach?: (handler: RequestListener) => Server): Api {
  const { queues, logger, clock } = options;
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    ...(attach === undefined ? {} : { serverFactory: (handler: RequestListener) => attach(handler) }),
    routerOptions: { maxParamLength: PARAMETER_CHARACTERS_MAX },
    // What cannot even be routed gets an answer of the same shape.
    frameworkErrors: (error, request, reply) => {
      const answer = errorAnswer(error, request) ?? badRequest('The request cannot be read');
      (reply as FastifyReply).code(answer.status).send(answer.body());
    },
  });
  // Bodies are read by their fields (see field.ts), answers are built from our own objects: the schemas describe.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));

  app.decorateRequest('identity', null);
  addJsonParser(app);
  addErrorHandlers(app, logger);
  const methodsByPath = collectMethods(app);

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    const { access = 'public', scope } = request.routeOptions.config;
    if (access === 'public') return;
    reply.header('cache-control', 'no-store');
    request.identity = authenticate(request.headers, options.apiKeys, options.anonymous);
    if (request.identity.key === 'anonymous') guardAgainstBrowsers(request.headers, request.socket.localAddress);
    authorize(request.identity, access, scope);
  });

  const input = createQueueInput({ validateKeyExpression: options.validateKeyExpression });
  const schemas = [
    ERROR_SCHEMA,
    QUEUE_SCHEMA,
    QUEUE_PAGE_SCHEMA,
    input.createSchema,
    input.updateSchema,
    configSchema(input),
  ];
  const moreSchemas = [
    QUEUE_STATISTICS_SCHEMA,
    STATISTICS_PAGE_SCHEMA,
    MESSAGE_PAGE_SCHEMA,
    PURGE_SCHEMA,
    RETAINED_PAGE_SCHEMA,
    RETAINED_MESSAGE_SCHEMA,
    HEALTH_SCHEMA,
    NODES_SCHEMA,
    CLUSTER_NODE_SCHEMA,
    CLUSTER_SCHEMA,
    REBALANCE_SCHEMA,
    BACKUP_SCHEMA,
  ];
  const accessSchemas = [
    RULE_SCHEMA,
    RULE_LIST_SCHEMA,
    RULE_PAGE_SCHEMA,
    USER_SCHEMA,
    USER_PAGE_SCHEMA,
    BAN_SCHEMA,
    BAN_PAGE_SCHEMA,
  ];
  for (const schema of [...schemas, ...moreSchemas, ...accessSchemas]) app.addSchema(schema);

  app.register(swagger, documentHead(options.version));
  app.register(async (scope) => {
    addQueueRoutes(scope, { queues, input, logger });
    addMessageRoutes(scope, { queues, logger });
    addRetainedRoutes(scope, options);
    addStatisticsRoutes(scope, { queues, clock });
    addConfigRoutes(scope, { queues, autoCreate: options.autoCreate ?? false, input, logger });
    addNodeRoutes(scope, options);
    addClusterRoutes(scope, options);
    addRebalanceRoutes(scope, options);
    addBackupRoutes(scope, options);
    addUserRoutes(scope, options);
    addRuleRoutes(scope, options);
    addBanRoutes(scope, options);
    addHealthRoutes(scope, options.health);
    if (options.metricsText !== undefined) addMetricsRoute(scope, options.metricsText);
    if (options.metricsDetail !== undefined) addMetricsDetailRoutes(scope, options.metricsDetail);
    addDocsRoutes(scope, () => app.swagger() as unknown as Record<string, unknown>);
    addMethodFallbacks(scope, methodsByPath);
  });
  addNotFoundHandler(app, methodsByPath);

  return {
    async ready() {
      await app.ready();
    },
    close: () => app.close(),
    inject: app.inject.bind(app) as FastifyInstance['inject'],
  };
}
