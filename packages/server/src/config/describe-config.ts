import { createRequire } from 'node:module';
import type { Layer } from './layer.ts';
import { SETTINGS, type Setting } from './settings.ts';

const load = createRequire(import.meta.url);

/**
 * The effective configuration as YAML that could be given back with `--config`, each line saying where its value came
 * from. Secrets are masked by their rule, not by their look.
 */
export function describeConfig(settings: Layer): string {
  return write((setting) => {
    const given = settings.get(setting.key);
    if (given === undefined) return { line: `# ${setting.name}:`, note: 'not set' };
    const shown = setting.rule.secret ? mask(given.value) : given.value;
    return { line: `${setting.name}: ${inline(shown)}`, note: given.origin };
  });
}

/** Every setting with its default, what it is and why it is so: the file to start one's own from. */
export function sampleConfig(): string {
  return write((setting) => {
    const { about, why, default: standard } = setting.rule;
    const line = standard === undefined ? `# ${setting.name}: ` : `${setting.name}: ${inline(standard)}`;
    return { line, above: [about, `Default: ${why}`] };
  });
}

function write(render: (setting: Setting) => { line: string; note?: string; above?: string[] }): string {
  const out: string[] = [];
  let section = '';
  for (const setting of SETTINGS) {
    if (setting.section !== section) {
      if (section !== '') out.push('');
      section = setting.section;
      out.push(`${section}:`);
    }
    const { line, note, above = [] } = render(setting);
    for (const comment of above) out.push(`  # ${comment}`);
    out.push(note === undefined ? `  ${line}` : `  ${line.padEnd(NOTE_COLUMN)} # ${note}`);
  }
  return `${out.join('\n')}\n`;
}

const NOTE_COLUMN = 44;

function inline(value: unknown): string {
  // Loaded here: whoever starts a node prints no configuration.
  const { stringify } = load('yaml') as typeof import('yaml');
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, defaultStringType: 'PLAIN' }).trimEnd();
}

function mask(value: unknown): unknown {
  return Array.isArray(value) && value.length > 0 ? `(${value.length} hidden)` : value;
}
