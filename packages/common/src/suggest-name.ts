/**
 * Finds what somebody who wrote `name` most likely meant, so that an error about an unknown key can say so. Letters'
 * case and separators do not count: `data-directory` means `dataDirectory`.
 */
export function suggestName(name: string, known: Iterable<string>): string | undefined {
  const wanted = fold(name.slice(0, NAME_LENGTH_MAX));
  let best: string | undefined;
  // A third of the letters may differ; beyond that a suggestion confuses more than it helps.
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const folded = fold(candidate);
    if (folded.length === 0) continue;
    const distance = isPart(wanted, folded) ? Math.min(1, editDistance(wanted, folded)) : editDistance(wanted, folded);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The comparison is quadratic and the name may come from a request. */
const NAME_LENGTH_MAX = 64;

function fold(text: string): string {
  return text.toLowerCase().replace(/[-_.\s]/g, '');
}

/** `retention` for `dataretentionperiod`: a word of four letters or more says enough. */
function isPart(wanted: string, candidate: string): boolean {
  return wanted.length >= 4 && candidate.includes(wanted);
}

/** Edits to get from `a` to `b`, where swapping neighbours is one edit (`isLsatValue`). */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(replaced, (previous[j] as number) + 1, (current[j - 1] as number) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (beforePrevious[j - 2] as number) + 1);
      }
      current.push(least);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] as number;
}
