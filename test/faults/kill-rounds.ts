import { SeededPrng } from '@sluice/common/prng';
import { ServerProcess } from '../harness/server-process.ts';
import { Load } from './load.ts';
import { checkHistory, type Verdict } from './queue-checker.ts';

export interface RoundsOptions {
  rounds: number;
  seed: number;
  /** How long clients work before the fault, at most. */
  loadMsMax: number;
  onRound(report: RoundReport): void;
}

export interface RoundReport {
  round: number;
  loadMs: number;
  downMs: number;
  /** How often it was killed again before it was ready. */
  startKills: number;
  restartMs: number;
  verdict: Verdict;
}

const DOWN_MS_MAX = 1_000;
/** About as long as a start takes. */
const START_MS = 700;
const AFTER_MS = 300;
const DRAIN_MS_MAX = 90_000;

/**
 * SIGKILL under load, at a moment the seed decides, in some rounds again while it starts, restart on the same data and ports while the clients try to come
 * back, more load, drain, check; again. The history grows over all rounds: a message of the first may not vanish or
 * come back in the last.
 */
export async function killRounds(options: RoundsOptions): Promise<Verdict> {
  const prng = new SeededPrng(options.seed);
  const server = await ServerProcess.start({ flags: ['--set', 'storage.segmentSize=16MB'] });
  let load: Load | undefined;
  try {
    await Load.createQueues(server.rest());
    load = new Load(server.mqtt, options.seed);
    let verdict: Verdict | undefined;
    for (let round = 1; round <= options.rounds; round++) {
      const loadMs = 100 + prng.below(options.loadMsMax - 100);
      const downMs = prng.below(3) === 0 ? 0 : prng.below(DOWN_MS_MAX);
      load.start();
      await pause(loadMs);
      const killedMs = performance.now();
      await server.kill('SIGKILL');
      await pause(downMs);
      const startKills = prng.below(3) === 0 ? 1 + prng.below(2) : 0;
      for (let n = 0; n < startKills; n++) await killWhileStarting(server, prng.below(START_MS));
      const startedMs = performance.now();
      await server.restart();
      load.fault('SIGKILL', killedMs);
      const restartMs = performance.now() - startedMs;
      await pause(AFTER_MS);
      const figures = await load.drain(() => server.rest(), DRAIN_MS_MAX);
      verdict = checkHistory(load.history, figures);
      options.onRound({ round, loadMs, downMs, startKills, restartMs, verdict });
    }
    if (verdict === undefined) throw new Error('no round was asked for');
    return verdict;
  } catch (cause) {
    throw new Error(`${String(cause)}\nthe end of the server's log:\n${server.log.slice(-4_000)}`, { cause });
  } finally {
    load?.end();
    await server.dispose();
  }
}

/** Recovery must survive its own end at any point. It may have got ready first: then it is killed all the same. */
async function killWhileStarting(server: ServerProcess, afterMs: number): Promise<void> {
  const starting = server.restart().catch(() => {});
  await pause(afterMs);
  await server.kill('SIGKILL');
  await starting;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
