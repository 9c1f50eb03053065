import { until } from '../../faults/load.ts';
import type { Address } from '../../harness/server-process.ts';
import { addressOf } from '../../harness/server-process.ts';
import type { ClusterUnderTest } from '../cluster-under-test.ts';
import type { ExactClient } from '../exact-client.ts';

/** Something that a cluster promises and that lasts: it is begun on one build, goes on with two, and ends on another. */
export interface UpgradeKind {
  readonly name: string;
  /** All nodes are of the former build. */
  begin(): Promise<void>;
  /** A node has another build than before, and everything is at rest. */
  afterStep(step: number): Promise<void>;
  /** All nodes are upgraded: brings it to an end, and says what came of it. */
  end(): Promise<KindVerdict>;
  stop(): void;
}

export interface KindVerdict {
  /** How much of it there was, for whoever reads the run. */
  readonly did: string;
  /** Empty when all of it was as promised. */
  readonly wrong: readonly string[];
}

/** On a machine that does other things as well. */
const REACHED_MS_MAX = 240_000;

export async function reached(what: string | (() => string), condition: () => boolean): Promise<void> {
  await until(what, performance.now() + REACHED_MS_MAX, async () => condition());
}

/** The same, for what is wrong when it is not so: what is missing is counted by whoever asks. */
export async function isReached(condition: () => boolean): Promise<boolean> {
  return await reached('it', condition).then(
    () => true,
    () => false,
  );
}

export async function areReady(clients: readonly ExactClient[]): Promise<void> {
  const away = (): string[] => clients.filter(({ isReady }) => !isReady).map(({ clientId }) => clientId);
  await reached(
    () => `${away().join(', ')} to be connected`,
    () => away().length === 0,
  );
}

export function targetsOf(cluster: ClusterUnderTest): () => readonly Address[] {
  return () => cluster.gateways().map(({ mqtt }) => addressOf(mqtt));
}
