/**
 * Whether a name matches a pattern in which `*` stands for any characters. A regular expression made of somebody's
 * pattern can take for ever; here each part between two stars is looked for once, the first place it is found at being as
 * good as any.
 */
export function nameMatcher(pattern: string): (name: string) => boolean {
  const parts = pattern.split('*');
  const first = parts[0] as string;
  const last = parts.at(-1) as string;
  if (parts.length === 1) return (name) => name === first;
  const between = parts.slice(1, -1).filter((part) => part !== '');
  return (name) => {
    if (!name.startsWith(first) || !name.endsWith(last)) return false;
    let at = first.length;
    for (const part of between) {
      const found = name.indexOf(part, at);
      if (found === -1) return false;
      at = found + part.length;
    }
    return at <= name.length - last.length;
  };
}
