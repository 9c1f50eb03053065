import { EXIT } from '@sluice/admin/cli-failure';
import { printable, wrapped } from '@sluice/admin/text-table';
import type { Command } from 'commander';
import { addServerFlags, type ServerFlags } from '../config/from-flags.ts';
import type { Finding } from './finding.ts';

/**
 * `sluice doctor`: looks at everything a node stands on, before it is started or beside it, and says what to do. The same
 * flags, variables and file as `sluice server`.
 */
export function registerDoctorCommand(program: Command): void {
  const command = program
    .command('doctor')
    .description(
      `look at configuration, disk, certificates, peers and the broker that runs; exit code ${EXIT.unwell} when something will not work`,
    )
    .option('--url <URL>', 'REST API of the broker to look at; also SLUICE_URL')
    .option('--api-key <KEY:SECRET>', 'also SLUICE_API_KEY')
    .option('--json', 'print JSON for programs');
  addServerFlags(command).action(async (flags: ServerFlags & { url?: string; apiKey?: string; json?: boolean }) => {
    // Loaded here: the other commands need nothing of what it looks at.
    const { examine } = await import('./examine.ts');
    const findings = await examine(flags);
    if (flags.json === true) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
    else process.stdout.write(reportOf(findings, process.stdout.columns ?? 80));
    if (findings.some(({ severity }) => severity === 'failure')) process.exitCode = EXIT.unwell;
  });
}

const TITLES = { ok: 'ok', note: 'note', warning: 'WARNING', failure: 'FAILURE' } as const;
const TITLE_WIDTH = 'WARNING'.length + 2;

function reportOf(findings: readonly Finding[], columns: number): string {
  const aboutWidth = Math.max(...findings.map(({ about }) => about.length)) + 2;
  const indent = ' '.repeat(TITLE_WIDTH + aboutWidth);
  const lines = findings.map(({ severity, about, message, hint }) => {
    const head = `${TITLES[severity].padEnd(TITLE_WIDTH)}${about.padEnd(aboutWidth)}`;
    const advice = hint === '' ? '' : wrapped(printable(hint), columns, `${indent}-> `, `${indent}   `);
    return `${wrapped(printable(message), columns, head, indent)}${advice}`;
  });
  const failures = findings.filter(({ severity }) => severity === 'failure').length;
  const warnings = findings.filter(({ severity }) => severity === 'warning').length;
  const verdict =
    failures + warnings === 0 ? 'All is well.' : `${countOf(failures, 'failure')}, ${countOf(warnings, 'warning')}.`;
  return `${lines.join('')}\n${verdict}\n`;
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
