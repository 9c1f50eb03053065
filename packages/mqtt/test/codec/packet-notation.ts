/**
 * Bytes that a person can read. Hex pairs stand for themselves; `<text>` is a string with its two-byte length; `{ … }`
 * puts the variable byte integer of its content's length in front (a packet's body, a property section); `text*n` and
 * `hex*n` repeat. So `30 { <a/b> 68 69 }` is a PUBLISH of "hi" to a/b.
 */
export function bytesOf(notation: string): Uint8Array {
  const tokens = notation.match(/<[^>]*>(\*\d+)?|\S+/g) ?? [];
  const open: number[][] = [[]];
  for (const token of tokens) {
    const top = open[open.length - 1]!;
    if (token === '{') open.push([]);
    else if (token === '}') {
      const content = open.pop()!;
      const outer = open[open.length - 1];
      if (outer === undefined) throw new Error(`unbalanced } in ${notation}`);
      append(outer, variableByteInteger(content.length));
      append(outer, content);
    } else append(top, literal(token));
  }
  if (open.length !== 1) throw new Error(`unbalanced { in ${notation}`);
  return Uint8Array.from(open[0]!);
}

function literal(token: string): number[] {
  const [, what, times] = /^(.*?)(?:\*(\d+))?$/.exec(token) as unknown as [string, string, string | undefined];
  const count = Number(times ?? 1);
  if (what.startsWith('<')) {
    const text = [...Buffer.from(what.slice(1, -1).repeat(count))];
    return [text.length >> 8, text.length & 0xff, ...text];
  }
  if (!/^([0-9a-f]{2})+$/.test(what)) throw new Error(`not hex: ${token}`);
  return [...Buffer.from(what.repeat(count), 'hex')];
}

function variableByteInteger(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...variableByteInteger(value >>> 7)];
}

function append(to: number[], bytes: number[]): void {
  for (const byte of bytes) to.push(byte);
}

export interface Case {
  title: string;
  /** 0: the packet comes first, as a CONNECT does. */
  version: 0 | 4 | 5;
  role: 'server' | 'client';
  /** 0: accepted. */
  reasonCode: number;
  bytes: Uint8Array;
}

/** A line a case: `versions code bytes -- title`. `45` is both versions, `5c` a client's side, `--` starts the title. */
export function casesOf(text: string): Case[] {
  const cases: Case[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '' || line.startsWith('//')) continue;
    const parsed = /^([045]+)(c?)\s+([0-9a-f]{2})\s+(.*?)\s+--\s+(.*)$/.exec(line);
    if (parsed === null) throw new Error(`cannot read: ${line}`);
    const [, versions, side, code, notation, title] = parsed as unknown as string[];
    for (const version of versions!) {
      cases.push({
        title: `${version === '0' ? 'first' : `v${version}`}${side === '' ? '' : ' client'}: ${title}`,
        version: Number(version) as 0 | 4 | 5,
        role: side === '' ? 'server' : 'client',
        reasonCode: Number.parseInt(code!, 16),
        bytes: bytesOf(notation!),
      });
    }
  }
  return cases;
}
