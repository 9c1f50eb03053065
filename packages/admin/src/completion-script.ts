export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** By the command words typed so far, what may come next. */
export type Words = ReadonlyMap<string, readonly { word: string; about: string }[]>;

/**
 * Completion as a table and nothing else: a script that asked the command at each press of a key would start a process of
 * Node.js for it. It is as new as the command that printed it, so shells read it at their start.
 */
export function completionScript(name: string, words: Words, shell: Shell): string {
  if (shell === 'fish') return fishScript(name, words);
  const script = bashScript(name, words);
  return shell === 'bash' ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`;
}

function bashScript(name: string, words: Words): string {
  const cases = [...words].map(
    ([path, next]) => `    ${quoted(path)}) words=${quoted(next.map(({ word }) => word).join(' '))} ;;`,
  );
  const paths = [...words.keys()].filter((path) => path !== '').map(quoted);
  return `_${name}() {
  local word path='' words='' current="\${COMP_WORDS[COMP_CWORD]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${paths.join(' | ')}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _${name} ${name}
`;
}

function fishScript(name: string, words: Words): string {
  const lines = [`complete -c ${name} -f`];
  for (const [path, next] of words) {
    const typed = path === '' ? [] : path.split(' ');
    const later = next.map(({ word }) => word).filter((word) => !word.startsWith('--'));
    const seen = typed.map((word) => `__fish_seen_subcommand_from ${word}`);
    const unseen = later.length === 0 ? [] : [`not __fish_seen_subcommand_from ${later.join(' ')}`];
    const condition = [...seen, ...unseen].join('; and ') || 'true';
    for (const { word, about } of next) {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      lines.push(`complete -c ${name} -n ${quoted(condition)} ${what} -d ${quoted(about)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
