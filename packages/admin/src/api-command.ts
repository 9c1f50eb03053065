import type { Command } from 'commander';
import { CliFailure } from './cli-failure.ts';
import type { CliHost } from './cli-host.ts';
import { type Connection, connectionFrom, DEFAULT_URL } from './rest-client.ts';
import { printable } from './text-table.ts';

/** What every command that goes over the REST API understands. */
export interface CommonOptions {
  url?: string;
  apiKey?: string;
  json?: boolean;
  yes?: boolean;
  [option: string]: unknown;
}

export function addApiOptions(command: Command): Command {
  return command
    .option('--url <URL>', `REST API of the server; also SLUICE_URL (default: ${DEFAULT_URL})`)
    .option('--api-key <KEY:SECRET>', 'also SLUICE_API_KEY, which other users of this machine cannot see')
    .option('--json', 'print JSON for programs');
}

/** Runs one command to its end: its text, or its failure with the exit code. */
export async function run(
  host: CliHost,
  options: CommonOptions,
  command: (connection: Connection) => Promise<string>,
): Promise<void> {
  try {
    host.print(await command(connectionFrom(options, host.env)));
  } catch (error) {
    if (!(error instanceof CliFailure)) throw error;
    host.printError(`error: ${printable(error.message)}\n`);
    if (error.hint !== '') host.printError(`${printable(error.hint)}\n`);
    host.setExitCode(error.exitCode);
  }
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
