import { Readable } from 'node:stream';
import type { Logger } from '@sluice/common/logger';
import type { BackupManagement } from '@sluice/rpc/contract/backup-management';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { ApiError } from '../api-error.ts';
import { show } from '../field/field.ts';
import { granted } from '../outcome.ts';
import { addRoute, answers } from '../route.ts';

const BYTES = 'application/octet-stream';
/** Of an API key that has scopes: what is read here is every message and every user. */
const SCOPE = 'backup';

export const BACKUP_SCHEMA = {
  $id: 'Backup',
  title: 'What a backup of the cluster consists of',
  type: 'object',
  required: ['cluster', 'version', 'partitions'],
  additionalProperties: false,
  properties: {
    cluster: { type: 'string', description: 'The identity of the cluster.' },
    version: { type: 'string', description: 'Of the node that answers.' },
    partitions: { type: 'integer', description: 'They are numbered from 1 on.' },
  },
};

/** What `sluice backup` is made of. Bytes go out as fast as they are taken; the node that leads keeps one block. */
export function addBackupRoutes(
  app: FastifyInstance,
  { backup, version, logger }: { backup: BackupManagement; version: string; logger: Logger },
): void {
  addRoute(app, {
    method: 'GET',
    paths: ['/api/v5/backup'],
    access: 'write',
    scope: SCOPE,
    schema: {
      operationId: 'describeBackup',
      tags: ['Operations'],
      summary: 'What a backup consists of',
      description:
        '`sluice backup` makes one: all partitions, then the metadata, with a manifest. Needs an administrator’s key without scopes, or with the scope `backup`.',
      response: answers({ 200: { description: 'The parts', $ref: 'Backup#' } }, 401, 403, 503),
    },
    handle: async () => {
      const { clusterId, partitionCount } = granted(backup.describe());
      return { cluster: clusterId, version, partitions: partitionCount };
    },
  });

  const give = async (group: number, key: string | undefined, reply: FastifyReply): Promise<unknown> => {
    const chunks = granted(await backup.read(group));
    logger.info({ key, group }, 'a group is read for a backup');
    return reply.type(BYTES).send(Readable.from(chunks, { objectMode: false }));
  };
  const response = (what: string): Record<string, unknown> =>
    answers(
      { 200: { description: what, content: { [BYTES]: { schema: { type: 'string', format: 'binary' } } } } },
      401,
      403,
      404,
      503,
    );
  const description =
    'Checksummed blocks, as of one moment behind which everything is that was acknowledged before the call. An answer that ends without its last block is none. A node gives one group at a time.';

  addRoute(app, {
    method: 'GET',
    paths: ['/api/v5/backup/partitions/:partition'],
    access: 'write',
    scope: SCOPE,
    schema: {
      operationId: 'backupPartition',
      tags: ['Operations'],
      summary: 'A partition, for a backup',
      description,
      params: { type: 'object', properties: { partition: { type: 'string', description: 'From 1 on.' } } },
      response: response('The partition'),
    },
    handle: ({ params, identity }, reply) => {
      const { partition = '' } = params;
      if (!/^[1-9]\d{0,4}$/.test(partition)) {
        throw new ApiError(404, 'NOT_FOUND', `There is no partition ${show(partition)}`, 'They are numbered from 1 on');
      }
      return give(Number(partition), identity?.key, reply);
    },
  });

  addRoute(app, {
    method: 'GET',
    paths: ['/api/v5/backup/metadata'],
    access: 'write',
    scope: SCOPE,
    schema: {
      operationId: 'backupMetadata',
      tags: ['Operations'],
      summary: 'The metadata, for a backup',
      description: `Queues, users, rules and bans. To be read behind the partitions, so that it knows of all that is in them. ${description}`,
      response: response('The metadata'),
    },
    handle: ({ identity }, reply) => give(0, identity?.key, reply),
  });
}
