import { BAN_PAGE_SCHEMA, BAN_SCHEMA } from './access/ban-routes.ts';
import { RULE_SCHEMA } from './access/rule-fields.ts';
import { RULE_LIST_SCHEMA, RULE_PAGE_SCHEMA } from './access/rule-routes.ts';
import { USER_PAGE_SCHEMA, USER_SCHEMA } from './access/user-routes.ts';
import { ERROR_SCHEMA } from './api-error.ts';
import { BACKUP_SCHEMA } from './backup/backup-routes.ts';
import { CLUSTER_NODE_SCHEMA, CLUSTER_SCHEMA } from './cluster/cluster-routes.ts';
import { REBALANCE_SCHEMA } from './cluster/rebalance-routes.ts';
import { configSchema } from './config/config-routes.ts';
import { HEALTH_SCHEMA } from './ops/health-routes.ts';
import { NODES_SCHEMA } from './ops/node-routes.ts';
import { MESSAGE_PAGE_SCHEMA, PURGE_SCHEMA } from './queue/message-routes.ts';
import type { QueueInput } from './queue/queue-input.ts';
import { QUEUE_PAGE_SCHEMA, QUEUE_SCHEMA } from './queue/queue-view.ts';
import { QUEUE_STATISTICS_SCHEMA, STATISTICS_PAGE_SCHEMA } from './queue/statistics-routes.ts';
import { RETAINED_MESSAGE_SCHEMA, RETAINED_PAGE_SCHEMA } from './retained/retained-routes.ts';

/** What the document refers to by name (`$ref`), in its order. What is sent is described by the fields that read it. */
export function apiSchemas(input: QueueInput): object[] {
  return [
    ERROR_SCHEMA,
    QUEUE_SCHEMA,
    QUEUE_PAGE_SCHEMA,
    input.createSchema,
    input.updateSchema,
    configSchema(input),
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
    RULE_SCHEMA,
    RULE_LIST_SCHEMA,
    RULE_PAGE_SCHEMA,
    USER_SCHEMA,
    USER_PAGE_SCHEMA,
    BAN_SCHEMA,
    BAN_PAGE_SCHEMA,
  ];
}
