import { CliFailure, EXIT } from './cli-failure.ts';
import type { CliHost } from './cli-host.ts';

/**
 * A password that is to be set. Never an argument: those stand in the history of the shell and in the list of processes. Who
 * types it cannot see it, and is asked twice.
 *
 * @throws CliFailure for one that is empty, or not the same twice
 */
export async function askNewPassword(host: Pick<CliHost, 'askSecret' | 'interactive'>): Promise<string> {
  const password = await host.askSecret('Password: ');
  if (password === '') throw new CliFailure(EXIT.usage, 'the password is empty');
  if (host.interactive && (await host.askSecret('The same once more: ')) !== password)
    throw new CliFailure(EXIT.usage, 'the two are not the same');
  return password;
}
