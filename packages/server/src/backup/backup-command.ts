import { addApiOptions, type CommonOptions, json, run } from '@sluice/admin/api-command';
import { CliFailure, EXIT } from '@sluice/admin/cli-failure';
import { processHost as host } from '@sluice/admin/cli-host';
import { SluiceError } from '@sluice/common/errors';
import { humanizeSize } from '@sluice/common/human-size';
import { silentLogger } from '@sluice/common/logger';
import type { Command } from 'commander';
import type { Manifest } from './backup-directory.ts';

/** `sluice backup` and `sluice restore`: everything a cluster keeps, in a directory and back. */
export function registerBackupCommands(program: Command): void {
  const backup = program
    .command('backup')
    .description('read everything the cluster keeps into a directory, while traffic goes on')
    .option('--to <DIRECTORY>', 'where it goes; must not be there yet');
  addApiOptions(backup).action((options: CommonOptions & { to?: string }) =>
    run(host, options, async (connection) => {
      if (options.to === undefined) throw new CliFailure(EXIT.usage, '--to is missing', 'Say where the backup goes');
      const { to } = options;
      const { makeBackup } = await import('./make-backup.ts');
      const { nowMs, pause, printError: progress } = host;
      const manifest = await failing(() => makeBackup({ connection, to, nowMs, pause, progress }));
      return options.json ? json(manifest) : `${to}: ${summary(manifest)}\n`;
    }),
  );
  backup
    .command('verify <DIRECTORY>')
    .description('read a backup to its end and compare all checksums; needs no server')
    .action((directory: string, _own: unknown, command: Command) =>
      run(host, command.optsWithGlobals<CommonOptions>(), async () => {
        const { readGroup, readManifest } = await import('./backup-directory.ts');
        const manifest = await failing(async () => {
          const found = await readManifest(directory);
          for (const file of found.files) for await (const _part of readGroup(directory, file));
          return found;
        });
        return `${directory} is whole: ${summary(manifest)}\n`;
      }),
    );
  program
    .command('restore')
    .description('make the data directory of a node out of a backup; started, it is a cluster that others may join')
    .requiredOption('--from <DIRECTORY>', 'what sluice backup made')
    .requiredOption('--data <DIRECTORY>', 'the data directory to be; must not be there yet')
    .action((options: { from: string; data: string }) =>
      run(host, {}, async () => {
        const { restoreBackup } = await import('./restore-backup.ts');
        const { PlainMetrics } = await import('@sluice/common/metrics');
        const { from, data: to } = options;
        const parts = { from, to, logger: silentLogger, metrics: new PlainMetrics(), progress: host.printError };
        const { manifest, clusterId, queues } = await failing(() => restoreBackup(parts));
        return [
          `${to} is cluster ${clusterId}, with ${queues} ${queues === 1 ? 'queue' : 'queues'}, as of ${manifest.finishedAt}`,
          `Start it:  sluice server --data ${to}`,
          'Other nodes join it with empty directories and node.join naming it; copies are then made by themselves',
          '',
        ].join('\n');
      }),
    );
}

function summary({ files, partitions, cluster, startedAt }: Manifest): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return `cluster ${cluster}, ${partitions} partitions, ${humanizeSize(bytes)}, begun ${startedAt}`;
}

/** What is wrong with files and disks, as an ending of the command. */
async function failing<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (cause instanceof SluiceError) throw new CliFailure(EXIT.failure, cause.message, cause.hint);
    const { code, syscall, message } = cause as NodeJS.ErrnoException;
    if (code !== undefined && syscall !== undefined) throw new CliFailure(EXIT.failure, message, HINTS.get(code) ?? '');
    throw cause;
  }
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'The disk is full: free space, or name a directory on another one'],
  ['EACCES', 'This user may not write there'],
  ['EBUSY', 'A mount point cannot be put in place as a whole: name a directory below it'],
]);
