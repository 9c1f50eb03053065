import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { fileNameOf } from '@sluice/storage/backup-file';
import { BackupCheck, type BackupContents } from '../check/backup-check.ts';
import { definedQueues, liveRecords } from '../check/backup-contents.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { driven } from '../simulation.ts';
import { BackupMoves, readGroup, type TakenBackup } from './backup-moves.ts';
import type { BackupKnobs, ClusterKnobs } from './cluster-knobs.ts';
import type { Fleet } from './fleet.ts';
import { RestoredCluster } from './restored-cluster.ts';

/** Backups while a history goes on; when it is over, what is in each of them, and what becomes of one that is restored. */
export class BackupTrial {
  readonly check: BackupCheck;
  readonly #parts: BackupTrialParts;
  #moves: BackupMoves | undefined;
  #restored = 0;
  #messages = 0;

  /** Each costs about as much as the history before it. */
  static readonly RESTORED_MAX = 1;

  constructor(parts: BackupTrialParts) {
    this.#parts = parts;
    const { world, isCalm, keepsHolders } = parts;
    this.check = new BackupCheck({ nowMs: () => world.nowMs, isCalm, keepsHolders });
  }

  begin(fleet: Fleet): void {
    const { world, draw, knobs, backups, isCalm } = this.#parts;
    const { partitions } = knobs;
    const { everyMs, readMsMax } = backups;
    const { gateways } = fleet;
    this.#moves = new BackupMoves({ world, draw, gateways, partitions, everyMs, readMsMax, isCalm });
    this.#moves.begin();
  }

  end(): void {
    this.#moves?.end();
  }

  /** The cluster is done with: what was read of it is another one's. */
  async atTheEnd(fleet: Fleet, lasting: readonly QueueDefinition[]): Promise<void> {
    const { world, draw, knobs } = this.#parts;
    await this.#moves?.atTheEnd();
    for (const machine of fleet.machines()) machine.kill('process');
    const taken = draw.shuffled(this.#moves?.taken ?? []).sort(byLength);
    for (const [i, backup] of taken.entries()) {
      const contents = await driven(world, this.#contentsOf(backup), 1_000);
      this.#messages += this.check.holds(contents, backup.spans, lasting);
      if (i >= BackupTrial.RESTORED_MAX) continue;
      world.trace.add(world.nowMs, 'operator', `restores one of ${backup.spans.get(0)?.endedMs}`);
      const cluster = new RestoredCluster({ world, draw, knobs, former: this.check.messages() });
      this.check.holds(await cluster.contentsOf(backup), backup.spans, lasting);
      this.#restored++;
    }
  }

  async #contentsOf(backup: TakenBackup): Promise<BackupContents> {
    const places = new Map<number, string>();
    for (let partition = 1; partition <= this.#parts.knobs.partitions; partition++) {
      const live = await liveRecords(partition, readGroup(backup, fileNameOf(partition)));
      for (const { place, text } of live) places.set(this.check.named(text), place);
    }
    const queues = await definedQueues(readGroup(backup, fileNameOf(0)));
    return { queues, places, atMs: backup.spans.get(0)?.endedMs ?? 0 };
  }

  get summary(): string {
    const { taken, counts } = this.#moves as BackupMoves;
    const made = `${taken.length} backups (${counts.failed} failed, ${counts.broken} readings broken)`;
    return `${made} with ${this.#messages} messages, ${this.#restored} restored`;
  }
}

/** What took long had much happen to it. */
function byLength(a: TakenBackup, b: TakenBackup): number {
  return lengthOf(b) - lengthOf(a);
}

function lengthOf({ spans }: TakenBackup): number {
  return (spans.get(0)?.endedMs ?? 0) - (spans.get(1)?.askedMs ?? 0);
}

export interface BackupTrialParts {
  world: SimWorld;
  draw: Draw;
  knobs: ClusterKnobs;
  backups: BackupKnobs;
  isCalm: () => boolean;
  keepsHolders: boolean;
}
