// npm run kubelet: a release as the chart renders it, every pod replaced in Kubernetes' order, under load.
import { Command } from 'commander';
import { formatVerdict } from '../faults/queue-checker.ts';
import { rollOut } from './roll-out.ts';

const GAP_MS_MAX = 1_000;

const { form, seed } = new Command('npm run kubelet --')
  .description('install the rendered chart on this machine, without containers, and replace all its pods under load')
  .option('--form <FORM>', 'tiers or compact', 'tiers')
  .option('--seed <NUMBER>', 'of the load', '1')
  .parse()
  .opts();

const beganMs = performance.now();
const say = (text: string): void => {
  process.stdout.write(`${((performance.now() - beganMs) / 1_000).toFixed(1).padStart(6)} s  ${text}\n`);
};
const report = await rollOut({ form, seed: Number(seed), say });
say(formatVerdict(report.verdict));
for (const [queue, { ms, atMs }] of report.gaps) {
  say(
    `${queue}: ${Math.round(ms)} ms without an acknowledgement at most, ${Math.round(atMs / 1_000)} s after the roll-out began`,
  );
}
const killed = report.endings.filter((ending) => ending.killed || ending.exitCode !== 0).map(({ pod }) => pod);
say(
  `${report.endings.length} pods replaced in ${Math.round(report.rollOutMs / 1_000)} s, ${report.restarts} restarts; this process was ${Math.round(report.lateMs)} ms late at most`,
);
const broken = [
  ...(report.isSafe ? [] : ['not safe']),
  ...(report.gapWorstMs > GAP_MS_MAX + report.lateMs ? [`a gap of ${Math.round(report.gapWorstMs)} ms`] : []),
  ...(killed.length > 0 ? [`did not end by themselves: ${killed.join(', ')}`] : []),
  ...(report.restarts > 0 ? ['a pod was restarted'] : []),
];
say(broken.length === 0 ? 'held' : `BROKEN: ${broken.join('; ')}`);
if (!report.isSafe) say(`logs: ${report.folder}`);
process.exit(broken.length === 0 ? 0 : 1);
