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
import { addBanRoutes } from './access/ban-routes.ts';
import { addRuleRoutes } from './access/rule-routes.ts';
import { addUserRoutes } from './access/user-routes.ts';
import { badRequest } from './api-error.ts';
import { apiSchemas } from './api-schemas.ts';
import type { ApiKeyStore } from './auth/api-key-store.ts';
import { authenticate, authorize } from './auth/authenticate.ts';
import { guardAgainstBrowsers, guardAgainstOtherSites } from './auth/browser-guard.ts';
import { addBackupRoutes } from './backup/backup-routes.ts';
import { addClusterRoutes } from './cluster/cluster-routes.ts';
import { addRebalanceRoutes } from './cluster/rebalance-routes.ts';
import { addConfigRoutes } from './config/config-routes.ts';
import { addDocsRoutes } from './docs/docs-routes.ts';
import { documentHead } from './docs/document-head.ts';
import { addErrorHandlers, errorAnswer } from './error-answers.ts';
import { addMethodFallbacks, addNotFoundHandler, collectMethods } from './fallbacks.ts';
import { addHealthRoutes } from './ops/health-routes.ts';
import type { HealthSource } from './ops/health-view.ts';
import { addMetricsDetailRoutes, addMetricsRoute, type MetricsDetail } from './ops/metrics-routes.ts';
import { type ApiNode, addNodeRoutes } from './ops/node-routes.ts';
import { addMessageRoutes } from './queue/message-routes.ts';
import type { ValidateKeyExpression } from './queue/queue-fields.ts';
import { QueueInput } from './queue/queue-input.ts';
import { addQueueRoutes } from './queue/queue-routes.ts';
import { addStatisticsRoutes } from './queue/statistics-routes.ts';
import { addJsonParser, BODY_BYTES_MAX } from './request-body.ts';
import { addRetainedRoutes } from './retained/retained-routes.ts';

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

  addJsonParser(app);
  addErrorHandlers(app, logger);
  const methodsByPath = collectMethods(app);
  admit(app, options);

  const input = new QueueInput({ validateKeyExpression: options.validateKeyExpression });
  for (const schema of apiSchemas(input)) app.addSchema(schema);

  app.register(swagger, documentHead(options.version));
  app.register(async (scope) => {
    addQueueRoutes(scope, { queues, input, logger });
    addMessageRoutes(scope, { queues, logger });
    addRetainedRoutes(scope, options);
    addStatisticsRoutes(scope, { queues, clock });
    addConfigRoutes(scope, { queues, input, logger });
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

/** Before any handler: who asks, and whether they may. What is public asks for neither. */
function admit(app: FastifyInstance, { apiKeys, anonymous }: ApiOptions): void {
  app.decorateRequest('identity', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    const { access = 'public', scope } = request.routeOptions.config;
    if (access === 'public') return;
    reply.header('cache-control', 'no-store');
    request.identity = authenticate(request.headers, apiKeys, anonymous);
    if (request.identity.key === 'anonymous') guardAgainstBrowsers(request.headers, request.socket.localAddress);
    else guardAgainstOtherSites(request.method, request.headers);
    authorize(request.identity, access, scope);
  });
}
