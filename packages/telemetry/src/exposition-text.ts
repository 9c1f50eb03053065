import type { Labels } from '@sluice/common/metrics';

/** The content type of the text format written here. */
export const EXPOSITION_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

export function isMetricName(name: string): boolean {
  return METRIC_NAME.test(name);
}

export function isLabelName(name: string): boolean {
  return LABEL_NAME.test(name);
}

/** `a="1",b="2"`, sorted by name: equal labels give equal text, whatever their order. Empty for no labels. */
export function labelsText(labels: Labels): string {
  const names = Object.keys(labels);
  if (names.length === 0) return '';
  if (names.length > 1) names.sort();
  let text = '';
  for (const name of names) {
    if (text !== '') text += ',';
    text += `${name}="${escapeLabelValue(labels[name] as string)}"`;
  }
  return text;
}

/** The line up to its value: `name ` or `name{labels} `. */
export function seriesText(name: string, labels: string): string {
  return labels === '' ? `${name} ` : `${name}{${labels}} `;
}

export function familyHeader(name: string, help: string, type: string): string {
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
}

export function valueText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}

function escapeLabelValue(value: string): string {
  // Most values need no escape: one test instead of three copies.
  if (!/["\\\n]/.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
