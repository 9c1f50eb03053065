import { formatDuration } from '@sluice/common/human-duration';
import { formatSize } from '@sluice/common/human-size';
import { SETTINGS, type Setting } from './settings.ts';

/** Every setting as a page for people, section by section: what it does, its default and why, what is allowed. */
export function configReference(): string {
  const out = [HEAD];
  let section = '';
  for (const setting of SETTINGS) {
    if (setting.section !== section) {
      section = setting.section;
      out.push(`\n## ${section}\n\n| setting | default | what it does |\n|---|---|---|`);
    }
    out.push(rowOf(setting));
  }
  return `${out.join('\n')}\n`;
}

const HEAD = `# Configuration

One YAML file (\`--config\`, \`SLUICE_CONFIG\`), environment variables, flags: each overrides the one before. A setting is
\`section.key\`: in YAML \`section:\` and below it \`key: value\`, as a variable \`SLUICE_SECTION__KEY\` with the words of the key in
capitals and joined by \`_\`, on the command line \`--set section.key=value\`. What is wrong ends the start with the setting's name
and what to do. Written by \`sluice config --reference\`; a test compares.`;

function rowOf({ key, variable, rule }: Setting): string {
  const { about, why } = rule;
  const allowed = allowedOf(rule);
  const said = [`${about}${allowed === '' ? '' : ` ${allowed}`}`, `*Default:* ${why}`].join('<br>');
  return `| \`${key}\`<br>\`${variable}\` | ${defaultOf(rule)} | ${said.replaceAll('|', '\\|')} |`;
}

function defaultOf({ default: standard }: Setting['rule']): string {
  if (standard === undefined) return '';
  const text = Array.isArray(standard) ? standard.join(',') : String(standard);
  return text === '' ? 'empty' : `\`${text}\``;
}

function allowedOf({ kind, min, max, choices }: Setting['rule']): string {
  if (choices !== undefined)
    return `${kind === 'choices' ? 'Any' : 'One'} of ${choices.map((choice) => `\`${choice}\``).join(', ')}.`;
  if (kind === 'tri-state') return '`true`, `false` or `auto`.';
  const format = kind === 'duration' ? formatDuration : kind === 'size' ? formatSize : String;
  if (min !== undefined && max !== undefined) return `${format(min)} to ${format(max)}.`;
  if (min !== undefined) return `${format(min)} or more.`;
  return max === undefined ? '' : `${format(max)} or less.`;
}
