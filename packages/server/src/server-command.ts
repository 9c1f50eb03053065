import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { addServerFlags, type ServerFlags } from './config/from-flags.ts';
import { formatProblem } from './config/layer.ts';
import { loadConfig } from './config/load-config.ts';

const EXIT_USAGE = 2;
/** Its name; other commands end when they have said what they have to say. */
export const SERVER_COMMAND = 'server';

/** `sluice server`: runs a node until SIGTERM or SIGINT, which drain it; exit 0 then. */
export function registerServerCommand(program: Command): void {
  const command = program.command(SERVER_COMMAND).description('run a node: gateway, store and coordinator');
  addServerFlags(command).action(async (flags: ServerFlags) => {
    const loaded = loadConfig({ flags, env: process.env, readFile: (path) => readFileSync(path, 'utf8') });
    if (!loaded.ok) {
      for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`);
      process.exit(EXIT_USAGE);
    }
    // Loaded here: the other commands need nothing of a broker, and answer in a third of the time without it.
    const { serve } = await import('./serve.ts');
    await serve(loaded.config, loaded.warnings);
  });
}
