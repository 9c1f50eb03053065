const LEVEL_WORDS = new Map([
  ['debug', 'DEBUG'],
  ['info', 'INFO '],
  ['warn', 'WARN '],
  ['error', 'ERROR'],
]);
const LEVEL_COLOURS = new Map([
  ['debug', 90],
  ['info', 36],
  ['warn', 33],
  ['error', 31],
]);
const SHOWN_APART = new Set(['time', 'level', 'msg', 'err']);

/**
 * A line of JSON log as people read it: time of day, level, message, fields, and an error's message, hint and stack
 * below. A line that is not JSON is passed on as it is.
 */
export function readableLogLine(line: string, colour: boolean): string {
  const fields = parseObject(line);
  if (fields === undefined) return line;
  const level = String(fields.level);
  const word = LEVEL_WORDS.get(level) ?? level;
  const time = String(fields.time).slice(11, 23);
  let text = `${time} ${colour ? `\u001b[${LEVEL_COLOURS.get(level) ?? 0}m${word}\u001b[0m` : word} ${fields.msg ?? ''}`;
  for (const [name, value] of Object.entries(fields)) {
    if (!SHOWN_APART.has(name)) text += ` ${harmless(name)}=${readableValue(value)}`;
  }
  return `${text}\n${errorLines(fields.err)}`;
}

/**
 * Client ids and topics are of whoever may connect, and a terminal obeys what stands in them: what it would obey, or what
 * would turn the order of the letters, is shown as what it is. Lines may break where they do.
 */
function harmless(text: string): string {
  return text.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function readableValue(value: unknown): string {
  if (typeof value === 'string' && value !== '' && !/[\s="]/.test(value)) return harmless(value);
  return harmless(JSON.stringify(value));
}

function errorLines(err: unknown): string {
  if (typeof err !== 'object' || err === null) return '';
  const { stack, message, hint } = err as { stack?: unknown; message?: unknown; hint?: unknown };
  const first = typeof stack === 'string' ? stack : String(message);
  const lines = typeof hint === 'string' && hint !== '' ? `${first}\nhint: ${hint}` : first;
  return `${harmless(lines).replaceAll(/^/gm, '  ')}\n`;
}
