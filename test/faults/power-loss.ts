import { join } from 'node:path';
import { SeededPrng } from '@sluice/common/prng';
import { ServerProcess } from '../harness/server-process.ts';
import { pause } from './kill-rounds.ts';
import { Load } from './load.ts';
import { LoopDisk } from './loop-disk.ts';
import { addVerdicts, checkHistory, type Verdict } from './queue-checker.ts';

export interface PowerLossOptions {
  rounds: number;
  seed: number;
  /** False: the negative control. The broker acknowledges what is not on the disk, and must be caught. */
  sync: boolean;
  loadMsMax: number;
  onRound(report: PowerLossReport): void;
}

export interface PowerLossReport {
  round: number;
  loadMs: number;
  /** How often the power failed, with load in between. */
  losses: number;
  verdict: Verdict;
  /** Why the broker refused to start again: all it had promised counts as lost. */
  refused: string | undefined;
}

const DISK_BYTES = 2 * 1024 * 1024 * 1024;
const LOSSES_MAX = 3;
const DRAIN_MS_MAX = 90_000;

/**
 * The power fails under load: the file system under the data directory ends without flushing anything, then the broker
 * is killed. Killing alone would prove nothing, because the system keeps what was written and not synced. Each round
 * starts on a new disk, so that a round that lost something does not spoil the next.
 */
export async function powerLossRounds(options: PowerLossOptions): Promise<Verdict> {
  const prng = new SeededPrng(options.seed);
  let total: Verdict | undefined;
  for (let round = 1; round <= options.rounds; round++) {
    const loadMs = 300 + prng.below(options.loadMsMax - 300);
    // Without syncing the first loss decides; with it, what was recovered must survive the next one too.
    const losses = options.sync ? 1 + prng.below(LOSSES_MAX) : 1;
    const { verdict, refused } = await powerLossRound(options.sync, options.seed + round, loadMs, losses);
    options.onRound({ round, loadMs, losses, verdict, refused });
    total = total === undefined ? verdict : addVerdicts(total, verdict);
  }
  if (total === undefined) throw new Error('no round was asked for');
  return total;
}

async function powerLossRound(
  sync: boolean,
  seed: number,
  loadMs: number,
  losses: number,
): Promise<{ verdict: Verdict; refused: string | undefined }> {
  const disk = new LoopDisk(DISK_BYTES);
  let server: ServerProcess | undefined;
  let load: Load | undefined;
  try {
    const flags = ['--set', 'storage.segmentSize=16MB', '--set', `storage.sync=${sync}`];
    const running = await ServerProcess.start({ dataDir: join(disk.mountPoint, 'data'), flags });
    server = running;
    await Load.createQueues(running.rest());
    // The queues stand on the disk; what follows is what may be lost.
    if (!sync) disk.flush();
    load = new Load(running.mqtt, seed);
    load.start();
    for (let loss = 1; loss <= losses; loss++) {
      await pause(loadMs / loss);
      const lostMs = performance.now();
      disk.losePower();
      await running.kill('SIGKILL');
      disk.restorePower();
      try {
        await running.restart();
      } catch (cause) {
        load.stop();
        return { verdict: checkHistory(load.history, new Map()), refused: firstLines(cause) };
      }
      load.fault('power loss', lostMs);
    }
    const figures = await load.drain(() => running.rest(), DRAIN_MS_MAX);
    return { verdict: checkHistory(load.history, figures), refused: undefined };
  } catch (cause) {
    throw new Error(`${String(cause)}\nthe end of the server's log:\n${server?.log.slice(-4_000)}`, { cause });
  } finally {
    load?.end();
    await server?.dispose();
    disk.dispose();
  }
}

/** The refusal itself, without the log around it. */
function firstLines(cause: unknown): string {
  return /^sluice: .*$/m.exec(String(cause))?.[0] ?? String(cause).slice(0, 300);
}
