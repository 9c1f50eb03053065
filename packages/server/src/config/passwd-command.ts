import { askNewPassword } from '@sluice/admin/ask-new-password';
import { EXIT } from '@sluice/admin/cli-failure';
import { processHost } from '@sluice/admin/cli-host';
import { hashPassword } from '@sluice/gateway/auth/password-hash';
import { makeScramVerifier } from '@sluice/gateway/auth/scram-verifier';
import type { Command } from 'commander';
import { isFileUsername } from './password-file.ts';

/** MQTT can carry no longer one. */
const PASSWORD_BYTES_MAX = 65_535;

/**
 * `sluice passwd <USER>`: the line of a password file for a password that is read from the standard input, so that it
 * stands in no shell history and in no list of processes.
 */
export function registerPasswdCommand(program: Command): void {
  program
    .command('passwd <USER>')
    .description('make the line of auth.passwordFile for a user; the password is read from the standard input')
    .option('--no-scram', 'without the part that SCRAM-SHA-256 needs')
    .action(async (user: string, { scram }: { scram: boolean }) => {
      if (!isFileUsername(user))
        fail('the user name must not be empty, does not begin with #, and has no colon and no line break');
      const password = await askNewPassword(processHost).catch((failure: Error) => fail(failure.message));
      if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX)
        fail(`the password is longer than ${PASSWORD_BYTES_MAX} bytes`);
      const secrets = [await hashPassword(password), ...(scram ? [await makeScramVerifier(password)] : [])];
      process.stdout.write(`${user}:${secrets.join(' ')}\n`);
    });
}

function fail(message: string): never {
  process.stderr.write(`sluice passwd: ${message}\n`);
  process.exit(EXIT.usage);
}
