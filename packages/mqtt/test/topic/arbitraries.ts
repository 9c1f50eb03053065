import fc from 'fast-check';

/** A small alphabet, so that filters and topics meet; names that an object would stumble over are in it. */
const level = fc.constantFrom('a', 'b', '', '__proto__', 'constructor', '$x');

export const topicArbitrary = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '');

export const filterArbitrary = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '');

/** The specification's own words, without a thought for speed. */
export function dollarAwareMatch(filter: string, topic: string): boolean {
  const wanted = filter.split('/');
  const given = topic.split('/');
  if (topic.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false;
  const rest = wanted.at(-1) === '#';
  if (rest) wanted.pop();
  if (rest ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((level, i) => level === '+' || level === given[i]);
}
