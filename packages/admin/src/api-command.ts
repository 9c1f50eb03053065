import type { Command } from 'commander';
import { CliFailure, EXIT, type ExitCode } from './cli-failure.ts';
import type { CliHost } from './cli-host.ts';
import { type Connection, connectionFrom, DEFAULT_URL } from './rest-client.ts';
import { printable } from './text-table.ts';

/** What every command that goes over the REST API understands. */
export interface CommonOptions {
  url?: string;
  apiKey?: string;
  json?: boolean;
  output?: string;
  yes?: boolean;
  [option: string]: unknown;
}

/** A group of commands, `sluice queues …`: it writes where its host says, and ends with an exit code that scripts can tell. */
export function addCommandGroup(program: Command, host: CliHost, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .exitOverride((error) => host.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))
    .configureOutput({ writeOut: host.print, writeErr: host.printError })
    .showHelpAfterError('(add --help for how it is used)');
}

export function addApiOptions(command: Command): Command {
  return command
    .option('--url <URL>', `REST API of the server; also SLUICE_URL (default: ${DEFAULT_URL})`)
    .option('--api-key <KEY:SECRET>', 'also SLUICE_API_KEY, which other users of this machine cannot see')
    .option('--json', 'print JSON for programs')
    .option('--output <FORMAT>', 'text, or json as --json does');
}

/** What a command has to say, where its exit code is not 0. */
export interface Told {
  text: string;
  exitCode: ExitCode;
}

/** Runs one command to its end: its text, or its failure with the exit code. */
export async function run(
  host: CliHost,
  options: CommonOptions,
  command: (connection: Connection) => Promise<string | Told>,
): Promise<void> {
  try {
    const { output = 'text' } = options;
    if (output !== 'text' && output !== 'json')
      throw new CliFailure(EXIT.usage, `--output is text or json, not ${JSON.stringify(output)}`);
    if (output === 'json') options.json = true;
    const told = await command(connectionFrom(options, host.env));
    host.print(typeof told === 'string' ? told : told.text);
    if (typeof told !== 'string' && told.exitCode !== EXIT.ok) host.setExitCode(told.exitCode);
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
