import { registerClusterCommands } from '@sluice/admin/cluster/cluster-commands';
import { registerCompletionCommand } from '@sluice/admin/completion-command';
import { registerLagCommands } from '@sluice/admin/lag/lag-commands';
import { registerQueueCommands } from '@sluice/admin/queues/queue-commands';
import { registerUserCommands } from '@sluice/admin/user-commands';
import { registerBenchCommand } from '@sluice/bench/remote-command';
import { Command } from 'commander';
import { registerBackupCommands } from './backup/backup-command.ts';
import { BUILD } from './build.ts';
import { registerConfigCommand } from './config/config-command.ts';
import { registerPasswdCommand } from './config/passwd-command.ts';
import { registerDoctorCommand } from './doctor/doctor-command.ts';
import { registerServerCommand, SERVER_COMMAND } from './server-command.ts';
import { whenUnread } from './unread-output.ts';

/** The `sluice` command. What each subcommand does stands in its own file. */
export async function runCommand(argv: readonly string[]): Promise<void> {
  const program = new Command('sluice')
    .description('A clustered MQTT broker with native durable message queues')
    .version(BUILD.version)
    .showHelpAfterError('(sluice --help lists the commands)')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE))
    .hook('preAction', (_program, command) =>
      whenUnread(process.stdout, () => {
        if (command.name() !== SERVER_COMMAND) process.exit();
      }),
    );
  registerServerCommand(program);
  registerConfigCommand(program);
  registerPasswdCommand(program);
  registerDoctorCommand(program);
  registerQueueCommands(program);
  registerLagCommands(program);
  registerClusterCommands(program);
  registerUserCommands(program);
  registerBackupCommands(program);
  registerBenchCommand(program);
  // Last: it knows all that stand before it.
  registerCompletionCommand(program);
  await program.parseAsync(argv);
}

const EXIT_USAGE = 2;
