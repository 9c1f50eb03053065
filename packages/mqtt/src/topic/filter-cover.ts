import { isDollarTopic } from './topic-name.ts';

/**
 * What two valid filters have to do with each other, level by level, MQTT 5 section 4.7. A permission is a filter and a
 * subscription is one, too: comparing their text would let `#` through where only `a/#` is allowed, and matching one as
 * if it were a topic reads `+` as a name. So permission asks two questions: does the one reach every topic of the other
 * (what is allowed), and is there any topic that both reach (what is denied)?
 */

const HASH = 0x23;
const PLUS = 0x2b;

/** Whether every topic that `inner` matches is matched by `outer`. */
export function covers(outer: string, inner: string): boolean {
  // A wildcard at the first level reaches no `$` topic [MQTT-4.7.2-1]; `+/#` reaches what `#` does.
  if (isDollarTopic(inner) && opensWithWildcard(outer)) return false;
  if (inner === '#') return outer === '#' || outer === '+/#';
  let o = 0;
  let i = 0;
  for (;;) {
    if (outer.charCodeAt(o) === HASH) return true;
    if (inner.charCodeAt(i) === HASH) return false;
    const outerEnd = levelEnd(outer, o);
    const innerEnd = levelEnd(inner, i);
    if (outer.charCodeAt(o) !== PLUS && !isSameLevel(outer, o, outerEnd, inner, i, innerEnd)) return false;
    const outerDone = outerEnd === outer.length;
    if (innerEnd === inner.length) return outerDone || isParentOf(outer, outerEnd);
    if (outerDone) return false;
    o = outerEnd + 1;
    i = innerEnd + 1;
  }
}

/** Whether there is a topic that both match. */
export function overlaps(a: string, b: string): boolean {
  if (isDollarTopic(a) && opensWithWildcard(b)) return false;
  if (isDollarTopic(b) && opensWithWildcard(a)) return false;
  let x = 0;
  let y = 0;
  for (;;) {
    if (a.charCodeAt(x) === HASH || b.charCodeAt(y) === HASH) return true;
    const aEnd = levelEnd(a, x);
    const bEnd = levelEnd(b, y);
    const any = a.charCodeAt(x) === PLUS || b.charCodeAt(y) === PLUS;
    if (!any && !isSameLevel(a, x, aEnd, b, y, bEnd)) return false;
    const aDone = aEnd === a.length;
    const bDone = bEnd === b.length;
    if (aDone) return bDone || isParentOf(b, bEnd);
    if (bDone) return isParentOf(a, aEnd);
    x = aEnd + 1;
    y = bEnd + 1;
  }
}

/** Only `/#` follows: the filter matches what was read up to here as well. */
function isParentOf(filter: string, end: number): boolean {
  return filter.length === end + 2 && filter.charCodeAt(end + 1) === HASH;
}

function isSameLevel(a: string, aFrom: number, aEnd: number, b: string, bFrom: number, bEnd: number): boolean {
  if (aEnd - aFrom !== bEnd - bFrom) return false;
  for (let i = 0; i < aEnd - aFrom; i++) if (a.charCodeAt(aFrom + i) !== b.charCodeAt(bFrom + i)) return false;
  return true;
}

function opensWithWildcard(filter: string): boolean {
  const first = filter.charCodeAt(0);
  return first === PLUS || first === HASH;
}

function levelEnd(text: string, from: number): number {
  const slash = text.indexOf('/', from);
  return slash < 0 ? text.length : slash;
}
