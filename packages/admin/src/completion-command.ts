import { Argument, type Command } from 'commander';
import { type CliHost, processHost } from './cli-host.ts';
import { completionScript, SHELLS, type Shell, type Words } from './completion-script.ts';

/** `sluice completion bash|zsh|fish`: a script that knows every command and option there is. Registered last. */
export function registerCompletionCommand(program: Command, host: CliHost = processHost): void {
  program
    .command('completion')
    .description('print a script that completes commands and options in your shell')
    .addArgument(new Argument('<SHELL>', 'for which shell').choices(SHELLS))
    .addHelpText(
      'after',
      '\nbash: source <(sluice completion bash)\nzsh:  source <(sluice completion zsh)\nfish: sluice completion fish | source',
    )
    .action((shell: Shell) => host.print(completionScript(program.name(), wordsOf(program), shell)));
}

/** By the command words before: what may come next. */
function wordsOf(program: Command): Words {
  const words = new Map<string, { word: string; about: string }[]>();
  const walk = (command: Command, path: string): void => {
    const next = [
      ...command.commands.flatMap((each) =>
        namesOf(each).map((word) => ({ word, about: firstSentence(each.description()) })),
      ),
      ...command.options.flatMap(({ long, description, hidden }) =>
        long === undefined || long === null || hidden ? [] : [{ word: long, about: firstSentence(description) }],
      ),
      { word: '--help', about: 'how it is used' },
    ];
    words.set(path, next);
    for (const each of command.commands)
      for (const name of namesOf(each)) walk(each, path === '' ? name : `${path} ${name}`);
  };
  walk(program, '');
  return words;
}

function namesOf(command: Command): string[] {
  return [command.name(), ...command.aliases()];
}

function firstSentence(text: string): string {
  return (text.split(/[.;:,(]/)[0] as string).trim();
}
