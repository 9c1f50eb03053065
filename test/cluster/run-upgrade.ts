import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CommitTree, titleOf } from '@sluice/bench/against/commit-tree';
import { SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import { wholeNumber } from '../harness/whole-number.mjs';
import type { LayoutName } from './cluster-under-test.ts';
import { faultRounds, leaveGround, prepareGround } from './fault-rounds.ts';
import { formatTable, rowOf } from './ledger.ts';
import { KINDS, rollingUpgrade, TIERS, type Tier } from './rolling-upgrade.ts';

// npm run faults:upgrade -- --from COMMIT --seed 1 --layout tiers --order coordinator,store,gateway --kinds sessions,wills
const { values } = parseArgs({
  options: {
    from: { type: 'string', default: 'HEAD~1' },
    /** A tree that is built already, instead. */
    built: { type: 'string' },
    seed: { type: 'string', default: '1' },
    calm: { type: 'string', default: '2000' },
    layout: { type: 'string', default: 'compact' },
    order: { type: 'string', default: TIERS.join() },
    kinds: { type: 'string', default: [...KINDS.keys()].join() },
  },
});
const [seed, calmMs] = [wholeNumber(values.seed, 'seed', 0), wholeNumber(values.calm, 'calm', 0)];
const order = values.order === 'together' ? values.order : (values.order.split(',') as Tier[]);
if (order !== 'together' && (order.length !== TIERS.length || TIERS.some((tier) => !order.includes(tier)))) {
  throw new Error(`--order names each of ${TIERS.join(', ')} once, or is together`);
}
if (!['compact', 'tiers'].includes(values.layout)) throw new Error('--layout is compact or tiers');
const repository = join(import.meta.dirname, '../..');
const bin = 'packages/server/dist/bin.js';
const say = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);

const former = values.built === undefined ? checkOut(values.from) : resolve(values.built);
if (!existsSync(join(former, bin))) throw new Error(`${former} is not built: there is no ${bin}`);
say(`to   ${titleOf(repository)}`);

const upgrade = rollingUpgrade({
  formerBin: join(former, bin),
  bin: join(repository, bin),
  layout: values.layout as LayoutName,
  order,
  kinds: values.kinds === '' ? [] : values.kinds.split(','),
  levelMax: SUPPORTED_LEVELS.max,
  say,
});
const ground = await prepareGround(upgrade.cluster, seed);
const report = await faultRounds(ground, upgrade, { rounds: 1, seed, calmMs, say });
await leaveGround(ground);
for (const { what } of report.rounds) say(what);
const row = rowOf(report);
console.log(`\n${formatTable([row], { seed, commit: titleOf(repository) })}`);
process.exit(row.outcome === 'held' ? 0 : 1);

/** Built in a temporary tree, which is gone with this process. */
function checkOut(commit: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-upgrade-'));
  say(`checks out ${commit} and builds it`);
  const tree = CommitTree.checkOut(repository, commit, join(folder, 'former'));
  process.once('exit', () => {
    tree.remove();
    rmSync(folder, { recursive: true, force: true });
  });
  tree.build();
  say(`from ${tree.title}`);
  if (tree.hasOtherModules) say('ITS LOCKFILE DIFFERS: it uses the modules installed here, which are not those it had');
  return tree.path;
}
