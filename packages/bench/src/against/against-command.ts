import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeMachine } from '../report/machine.ts';
import type { Peer } from '../run/peer.ts';
import type { StartedProcesses } from '../run/started-processes.ts';
import type { Workload } from '../run/workload.ts';
import { CommitTree, titleOf } from './commit-tree.ts';
import { againstReport, ratiosOf } from './ratios.ts';
import { runAgainst } from './run-against.ts';

export interface AgainstOptions {
  commit: string;
  workloads: readonly Workload[];
  rounds: number;
  /** Empty; removed by the caller. */
  directory: string;
  processes: StartedProcesses;
  json: string | undefined;
  /** A broker of this repository from a built tree. */
  brokerOf(tree: string): Peer;
  say(text: string): void;
}

const REPOSITORY = fileURLToPath(new URL('../../../../', import.meta.url));

/**
 * Whether this tree got slower than a commit before it. It reports and judges nothing: a shared machine would make a
 * liar of every absolute bound. False when it could not measure.
 */
export async function measureAgainst(options: AgainstOptions): Promise<boolean> {
  const { commit, workloads, rounds, directory, processes, json, brokerOf, say } = options;
  say(`checks out ${commit} and builds it`);
  const tree = CommitTree.checkOut(REPOSITORY, commit, join(directory, 'before'));
  const remove = (): void => tree.remove();
  process.once('exit', remove);
  try {
    tree.build();
    say(`before: ${tree.title}`);
    const own: string[] = tree.hasOtherModules
      ? ['ITS LOCKFILE DIFFERS: both used the modules installed here, which are not those it had']
      : [];
    for (const note of own) say(note);
    const brokers = join(directory, 'brokers');
    await mkdir(brokers);
    const { pairs, notes } = await runAgainst({
      before: tree.path,
      now: REPOSITORY,
      peerOf: (name, path) => ({ ...brokerOf(path), name }),
      workloads,
      rounds,
      directory: brokers,
      processes,
      say,
    });
    const ratios = ratiosOf(pairs);
    const machine = describeMachine(directory);
    const report = { before: tree.title, now: titleOf(REPOSITORY), machine, notes: [...own, ...notes], ratios };
    process.stdout.write(againstReport(report));
    if (json !== undefined) await writeFile(json, `${JSON.stringify({ ...report, pairs }, undefined, 2)}\n`);
    return ratios.length > 0;
  } finally {
    process.off('exit', remove);
    remove();
  }
}
