import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CommitTree, titleOf } from '@sluice/bench/against/commit-tree';
import { SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import { Command, InvalidArgumentError, Option } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import type { LayoutName } from './cluster-under-test.ts';
import { faultRounds, leaveGround, prepareGround } from './fault-rounds.ts';
import { formatTable, rowOf } from './ledger.ts';
import { KINDS, rollingUpgrade, TIERS, type Tier } from './rolling-upgrade.ts';

const kinds = [...KINDS.keys()];
const options = new Command('npm run faults:upgrade --')
  .description('nodes of an earlier build are replaced one by one under load: nothing is lost')
  .option('--from <COMMIT>', 'the earlier build, made in a temporary tree', 'HEAD~1')
  .option('--built <DIRECTORY>', 'a tree that is built already, instead')
  .option('--seed <N>', 'load and faults are drawn by it', wholeNumber(0), 1)
  .option('--calm <MS>', 'load between two steps', wholeNumber(0), 2_000)
  .addOption(new Option('--layout <NAME>', 'who has which roles').choices(['compact', 'tiers']).default('compact'))
  .addOption(
    new Option('--order <TIERS>', 'which tier after which, or together')
      .argParser(orderOf)
      .default([...TIERS], TIERS.join()),
  )
  .addOption(
    new Option('--kinds <NAMES>', 'what the cluster has beside queues').argParser(kindsOf).default(kinds, kinds.join()),
  )
  .parse()
  .opts<{
    from: string;
    built?: string;
    seed: number;
    calm: number;
    layout: LayoutName;
    order: Tier[] | 'together';
    kinds: string[];
  }>();
const { seed, calm: calmMs, layout, order } = options;
const repository = join(import.meta.dirname, '../..');
const bin = 'packages/server/dist/bin.js';
const say = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);

const former = options.built === undefined ? checkOut(options.from) : resolve(options.built);
if (!existsSync(join(former, bin))) throw new Error(`${former} is not built: there is no ${bin}`);
say(`to   ${titleOf(repository)}`);

const upgrade = rollingUpgrade({
  formerBin: join(former, bin),
  bin: join(repository, bin),
  layout,
  order,
  kinds: options.kinds,
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

function orderOf(text: string): Tier[] | 'together' {
  if (text === 'together') return text;
  const order = text.split(',') as Tier[];
  if (order.length === TIERS.length && TIERS.every((tier) => order.includes(tier))) return order;
  throw new InvalidArgumentError(`Each of ${TIERS.join(', ')} once, or together.`);
}

function kindsOf(text: string): string[] {
  const chosen = text === '' ? [] : text.split(',');
  const strange = chosen.find((kind) => !kinds.includes(kind));
  if (strange !== undefined) throw new InvalidArgumentError(`There is no kind ${strange}: choose of ${kinds.join()}.`);
  return chosen;
}

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
