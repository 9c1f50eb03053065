import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CommitTree, titleOf } from '@sluice/bench/against/commit-tree';
import { SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import { wholeNumber } from '../harness/whole-number.mjs';
import { faultRounds, leaveGround, prepareGround } from './fault-rounds.ts';
import { formatTable, rowOf } from './ledger.ts';
import { rollingUpgrade } from './rolling-upgrade.ts';

// npm run faults:upgrade -- --from COMMIT --seed 1
const { values } = parseArgs({
  options: {
    from: { type: 'string', default: 'HEAD~1' },
    seed: { type: 'string', default: '1' },
    calm: { type: 'string', default: '2000' },
  },
});
const [seed, calmMs] = [wholeNumber(values.seed, 'seed', 0), wholeNumber(values.calm, 'calm', 0)];
const repository = join(import.meta.dirname, '../..');
const bin = 'packages/server/dist/bin.js';
const folder = mkdtempSync(join(tmpdir(), 'sluice-upgrade-'));
const say = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);

say(`checks out ${values.from} and builds it`);
const tree = CommitTree.checkOut(repository, values.from, join(folder, 'former'));
process.once('exit', () => {
  tree.remove();
  rmSync(folder, { recursive: true, force: true });
});
tree.build();
say(`from ${tree.title}`);
say(`to   ${titleOf(repository)}`);
if (tree.hasOtherModules) say('ITS LOCKFILE DIFFERS: it uses the modules installed here, which are not those it had');

const bins = new Map<string, string>();
const upgrade = rollingUpgrade({
  formerBin: join(tree.path, bin),
  bins,
  bin: join(repository, bin),
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
