import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { configReference } from './config-reference.ts';
import { describeConfig, sampleConfig } from './describe-config.ts';
import { addServerFlags, type ServerFlags } from './from-flags.ts';
import { formatProblem } from './layer.ts';
import { loadConfig } from './load-config.ts';

const EXIT_USAGE = 2;

/**
 * `sluice config`: what a node would run with, given these flags, this environment and this file, and where each value
 * came from. What it prints is itself a configuration file.
 */
export function registerConfigCommand(program: Command): void {
  const command = program
    .command('config')
    .description('print the effective configuration and where each value came from, without starting anything')
    .option('--sample', 'print every setting with its default, what it does and why it is so')
    .option('--reference', 'print the same as a page for people, in Markdown');
  addServerFlags(command).action((flags: ServerFlags & { sample?: boolean; reference?: boolean }) => {
    if (flags.reference === true) {
      process.stdout.write(configReference());
      return;
    }
    if (flags.sample === true) {
      process.stdout.write(sampleConfig());
      return;
    }
    const loaded = loadConfig({ flags, env: process.env, readFile: (path) => readFileSync(path, 'utf8') });
    if (!loaded.ok) {
      for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`);
      process.exitCode = EXIT_USAGE;
      return;
    }
    for (const warning of loaded.warnings) process.stderr.write(`warning: ${warning}\n`);
    process.stdout.write(describeConfig(loaded.settings));
  });
}
