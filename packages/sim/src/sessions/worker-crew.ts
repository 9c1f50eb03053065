import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { WorkerCheck } from '../check/worker-check.ts';
import type { Fleet } from '../cluster/fleet.ts';
import type { Draw } from '../draw.ts';
import { QueueWorker, type WorkingKnobs } from './queue-worker.ts';

/** Workers of all queues over MQTT: some of each hurry, one does not move, and none stays. */
export class WorkerCrew {
  readonly check: WorkerCheck;
  readonly #parts: { fleet: Fleet; draw: Draw; knobs: CrewKnobs };
  #workers: QueueWorker[] = [];
  readonly #working: WorkingKnobs[] = [];
  #isOver = false;

  constructor(parts: { fleet: Fleet; draw: Draw; knobs: CrewKnobs; check: WorkerCheck }) {
    this.#parts = parts;
    this.check = parts.check;
  }

  /** `moving`: names of queues that may be there or not. */
  begin(lasting: readonly QueueDefinition[], moving: readonly string[]): void {
    const { knobs } = this.#parts;
    for (const { name, topicFilter, queueId } of lasting) {
      for (let i = 0; i < knobs.workersPerQueue; i++) {
        const filter = i % 2 === 0 ? `$queue/${name}` : `$q/${topicFilter}`;
        this.#employ(`${name}-${i}`, filter, () => queueId, i === 0, i === knobs.workersPerQueue - 1);
      }
    }
    for (const name of moving) this.#employ(name, `$queue/${name}`, () => undefined, false, false);
  }

  #employ(
    clientId: string,
    filter: string,
    queueId: () => number | undefined,
    isStuck: boolean,
    isLast: boolean,
  ): void {
    const { fleet, draw, knobs } = this.#parts;
    const maximumPacketSizeBytes = isLast ? knobs.lastTakesBytes : undefined;
    const { thinkMsMax, refuseOneIn, stuckMs, actEveryMs } = knobs;
    const working = { thinkMsMax, refuseOneIn, stuckMs, isStuck };
    this.#working.push(working);
    const worker = new QueueWorker({
      ...{
        world: fleet.world,
        draw,
        gateways: fleet.gateways,
        check: this.check,
        clientId,
        filter,
        queueId,
        actEveryMs,
      },
      version: isStuck || maximumPacketSizeBytes !== undefined ? 5 : draw.oneOf([4, 5, 5]),
      maximumPacketSizeBytes,
      receiveMaximum: isStuck ? draw.oneOf([1, 3]) : draw.oneOf([1, 3, 20]),
      knobs: working,
      mayHarm: () => !this.#isOver,
    });
    this.#workers.push(worker);
    worker.begin();
  }

  /** From now on everybody works, and quickly. */
  end(): void {
    this.#isOver = true;
    for (const working of this.#working) Object.assign(working, { thinkMsMax: 5, refuseOneIn: 1_000_000 });
    for (const worker of this.#workers) worker.hurry();
  }

  leave(): void {
    for (const worker of this.#workers) worker.leave();
    this.#workers = [];
  }

  get summary(): string {
    return `${this.check.finished} jobs finished by PUBACK, ${this.check.returned} given back`;
  }
}

export interface CrewKnobs {
  workersPerQueue: number;
  thinkMsMax: number;
  refuseOneIn: number;
  stuckMs: number;
  actEveryMs: number;
  /** The last worker of each queue takes packets up to this size; undefined: of any. */
  lastTakesBytes?: number;
}
