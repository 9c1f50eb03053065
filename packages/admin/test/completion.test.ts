import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { Command } from 'commander';
import { registerCompletionCommand } from '../src/completion-command.ts';
import { runCommand } from './run-command.ts';

function program(host: Parameters<typeof registerCompletionCommand>[1], root = new Command('sluice')): Command {
  const queues = root.command('queues').description('list, create and delete');
  queues.command('list').description('list all').option('--json', 'for programs');
  queues.command('delete <NAME>').alias('drop').description('it’s gone').option('-y, --yes', 'do not ask');
  root.command('lag').option('--watch', 'go on');
  registerCompletionCommand(root, host);
  return root;
}

const script = async (shell: string) =>
  (await runCommand((root, host) => program(host, root), ['completion', shell])).out;

/** What bash offers behind these words. */
async function offered(line: string): Promise<string[]> {
  const words = ['sluice', ...line.split(' ')];
  const asked = `${await script('bash')}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _sluice
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync('bash', ['-c', asked], { encoding: 'utf8' });
  return out.split('\n').filter((word) => word !== '');
}

describe('sluice completion', () => {
  test('bash offers what may come next, by what was typed', async () => {
    expect(await offered('')).toEqual(['queues', 'lag', 'completion', '--help']);
    expect(await offered('qu')).toEqual(['queues']);
    expect(await offered('queues ')).toEqual(['list', 'delete', 'drop', '--help']);
    expect(await offered('queues delete some-name --')).toEqual(['--yes', '--help']);
    expect(await offered('queues drop some-name --y')).toEqual(['--yes']);
    expect(await offered('queues list --j')).toEqual(['--json']);
    expect(await offered('lag --w')).toEqual(['--watch']);
    expect(await offered('nonsense --h')).toEqual(['--help']);
  });

  test('zsh takes the script of bash', async () => {
    expect(await script('zsh')).toBe(`autoload -U +X bashcompinit && bashcompinit\n${await script('bash')}`);
  });

  test('fish is told when each word makes sense', async () => {
    const lines = (await script('fish')).split('\n');
    expect(lines).toContain(
      "complete -c sluice -n 'not __fish_seen_subcommand_from queues lag completion' -a queues -d 'list'",
    );
    expect(lines).toContain(
      "complete -c sluice -n '__fish_seen_subcommand_from queues; and __fish_seen_subcommand_from delete' -l yes -d 'do not ask'",
    );
  });
});
