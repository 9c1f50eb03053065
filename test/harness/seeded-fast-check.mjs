// fast-check as every test has it (`jest.config.mjs`). With a seed drawn anew for each run, two runs of one commit differ:
// a run goes red by a case that the change under test has nothing to do with, and green again when it is repeated. So the
// seed is one and the same, unless somebody asks: `SLUICE_PROPERTY_SEED=fresh` draws one for each property, a number is the
// seed of all. A property that fails prints its seed and path. Those that name a seed themselves keep it.
import fc from '../../node_modules/fast-check/lib/fast-check.js';

const FIXED_SEED = 20_261_121;
const asked = process.env.SLUICE_PROPERTY_SEED ?? FIXED_SEED;

if (asked !== 'fresh') {
  const seed = Number(asked);
  if (!Number.isInteger(seed)) throw new Error(`SLUICE_PROPERTY_SEED is a whole number or fresh, not ${asked}`);
  fc.configureGlobal({ seed });
}
// Over a planted bug it matters that a property fails, not by which smallest case.
if (process.env.SLUICE_PLANTED !== undefined) {
  fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });
}

export { default } from '../../node_modules/fast-check/lib/fast-check.js';
