/** A file taken apart: same length and same lines in both, so an index means the same place. */
export interface SourceCode {
  /** Comments, and what stands in strings, templates and regular expressions, replaced by spaces. */
  code: string;
  /** Only the comments. */
  comments: string;
}

export interface ImportOf {
  specifier: string;
  index: number;
}

const REGEX_AFTER_WORD = /\b(return|typeof|case|in|of|do|else|void|delete|throw|yield|await|instanceof)$/;

/**
 * Separates code from text, so that a rule about code does not trip over a sentence about it. Not a parser: it knows
 * comments, quotes, templates with code inside, and tells a regular expression from a division by what stands before.
 */
export function separate(text: string): SourceCode {
  const code = new Array<string>(text.length);
  const comments = new Array<string>(text.length);
  /** Depth of braces at which each open template goes on. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;

  const put = (end: number, kind: 'code' | 'comment' | 'text'): void => {
    for (; at < end; at++) {
      const character = text[at] as string;
      const blank = character === '\n' ? '\n' : ' ';
      code[at] = kind === 'code' ? character : blank;
      comments[at] = kind === 'comment' ? character : blank;
    }
  };
  const putTemplate = (): void => {
    let end = at;
    while (end < text.length && text[end] !== '`' && !text.startsWith('${', end)) end += text[end] === '\\' ? 2 : 1;
    put(Math.min(end, text.length), 'text');
    if (text[at] === '`') put(at + 1, 'code');
    else if (at < text.length) {
      templates.push(depth);
      put(at + 2, 'code');
    }
  };

  while (at < text.length) {
    const character = text[at] as string;
    if (text.startsWith('//', at) || (at === 0 && text.startsWith('#!'))) {
      put(endOf(text, '\n', at), 'comment');
    } else if (text.startsWith('/*', at)) {
      put(Math.min(endOf(text, '*/', at + 2) + 2, text.length), 'comment');
    } else if (character === "'" || character === '"') {
      put(at + 1, 'code');
      let end = at;
      while (end < text.length && text[end] !== character && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1;
      put(Math.min(end, text.length), 'text');
      put(Math.min(at + 1, text.length), 'code');
    } else if (character === '`') {
      put(at + 1, 'code');
      putTemplate();
    } else if (character === '/' && startsRegex(code, at)) {
      put(endOfRegex(text, at), 'text');
    } else if (character === '}' && templates.at(-1) === depth) {
      templates.pop();
      put(at + 1, 'code');
      putTemplate();
    } else {
      if (character === '{') depth++;
      if (character === '}') depth--;
      put(at + 1, 'code');
    }
  }
  return { code: code.join(''), comments: comments.join('') };
}

/** Every `from '…'`, `import '…'` and `import('…')`, types included. */
export function importsOf(text: string, source: SourceCode): ImportOf[] {
  const found: ImportOf[] = [];
  for (const match of source.code.matchAll(/(?<![.\w$])(?:from\s*|import\s*\(?\s*)['"]/g)) {
    const start = match.index + match[0].length;
    const quote = text[start - 1] as string;
    found.push({ specifier: text.slice(start, text.indexOf(quote, start)), index: match.index });
  }
  return found;
}

/** The end of the block or parenthesis that opens at `open`, exclusive. */
export function closingOf(code: string, open: number): number {
  const [opening, closing] = code[open] === '(' ? ['(', ')'] : ['{', '}'];
  let depth = 0;
  for (let i = open; i < code.length; i++) {
    if (code[i] === opening) depth++;
    else if (code[i] === closing && --depth === 0) return i + 1;
  }
  return code.length;
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from);
  return end === -1 ? text.length : end;
}

function startsRegex(code: readonly string[], at: number): boolean {
  let i = at - 1;
  while (i >= 0 && /\s/.test(code[i] as string)) i--;
  if (i < 0) return true;
  const before = code[i] as string;
  if (/[\w$]/.test(before)) return REGEX_AFTER_WORD.test(code.slice(Math.max(0, i - 12), i + 1).join(''));
  return !/[)\]'"`]/.test(before);
}

function endOfRegex(text: string, at: number): number {
  let inClass = false;
  let i = at + 1;
  for (; i < text.length && text[i] !== '\n'; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '[') inClass = true;
    else if (text[i] === ']') inClass = false;
    else if (text[i] === '/' && !inClass) return i + 1;
  }
  return i;
}
