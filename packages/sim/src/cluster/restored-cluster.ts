import { restoredMetadata } from '@sluice/meta/restored-metadata';
import { fileNameOf } from '@sluice/storage/backup-file';
import type { KeyValue } from '@sluice/storage/engine';
import { restoreGroups } from '@sluice/store/backup/restore-groups';
import type { BackupContents } from '../check/backup-check.ts';
import type { Message } from '../check/queue-check.ts';
import { RestoredCheck } from '../check/restored-check.ts';
import type { Draw } from '../draw.ts';
import { SimNetwork } from '../sim-network.ts';
import type { SimWorld } from '../sim-world.ts';
import { driven, Violation } from '../simulation.ts';
import { readGroup, type TakenBackup } from './backup-moves.ts';
import type { ClusterKnobs } from './cluster-knobs.ts';
import { Fleet } from './fleet.ts';
import type { GatewayNode } from './gateway-node.ts';
import { Publishers } from './publishers.ts';
import { Quiescence } from './quiescence.ts';
import { SimWorker } from './sim-worker.ts';

/**
 * What `sluice restore` makes of a backup, with nothing done to it: it is led again, workers take all that it has while
 * others publish, and it drains.
 */
export class RestoredCluster {
  readonly #world: SimWorld;
  readonly #draw: Draw;
  readonly #knobs: ClusterKnobs;
  readonly #fleet: Fleet;
  readonly #check: RestoredCheck;

  static readonly FORM_MS_MAX = 60_000;
  static readonly LOOK_MS = 100;
  static readonly MESSAGES_FROM = 1_000_000_000;
  static readonly IDENTITY = { incarnation: 'disk restored', clusterId: 'restored' };

  constructor(parts: { world: SimWorld; draw: Draw; knobs: ClusterKnobs; former: readonly Message[] }) {
    const { world, draw, knobs, former } = parts;
    this.#world = world;
    this.#draw = draw;
    this.#knobs = { ...knobs, faults: [], expiringOneIn: 0, thinkMsMax: 5, returnOneIn: 1_000_000 };
    this.#fleet = new Fleet(world, new SimNetwork(world, knobs.network), this.#knobs);
    this.#check = new RestoredCheck(former);
  }

  /** Everything that it hands out. */
  async contentsOf(backup: TakenBackup): Promise<BackupContents> {
    const fleet = this.#fleet;
    const world = this.#world;
    await this.#found(backup);
    const quiescence = new Quiescence(fleet, this.#check);
    const queues = await quiescence.isOneImage();
    const [gateway] = fleet.gateways as [GatewayNode];
    for (const { name } of queues) this.#employ(gateway, name);
    const publishers = new Publishers({
      world,
      draw: this.#draw,
      knobs: this.#knobs,
      check: this.#check,
      gateways: fleet.gateways,
      isDoomed: () => false,
      isUnheardOf: () => false,
      messagesFrom: RestoredCluster.MESSAGES_FROM,
    });
    publishers.begin();
    await quiescence.resumes(queues);
    publishers.end();
    await quiescence.drains(queues);
    this.#check.atTheEnd(world.nowMs);
    await quiescence.converges();
    const contents = { queues, places: this.#check.found, atMs: world.nowMs };
    for (const machine of fleet.machines()) machine.kill('process');
    return contents;
  }

  async #found(backup: TakenBackup): Promise<void> {
    const fleet = this.#fleet;
    const world = this.#world;
    const { partitions } = this.#knobs;
    const nodeId = await driven(world, firstNodeOf(backup), 1_000);
    const store = fleet.alone(nodeId);
    await store.fill((storage, freeBytes) =>
      restoreGroups({
        storage,
        partitions,
        read: (group) => readGroup(backup, fileNameOf(group)),
        identity: RestoredCluster.IDENTITY,
        restored: () => {},
        freeBytes,
      }),
    );
    store.start();
    fleet.joinGateway('restored gateway', this.#check);
    const isUp = (): boolean =>
      fleet.joining === 0 &&
      [...fleet.machines()].every(({ state }) => state === 'up') &&
      store.store?.unready() === undefined;
    if (await world.runUntil(world.nowMs + RestoredCluster.FORM_MS_MAX, RestoredCluster.LOOK_MS, isUp)) return;
    throw new Violation('liveness', `what was restored does not form: ${fleet.describe()}`);
  }

  #employ(gateway: GatewayNode, queue: string): void {
    const { window, thinkMsMax, returnOneIn } = this.#knobs;
    const knobs = { window, thinkMsMax, returnOneIn };
    const [check, draw] = [this.#check, this.#draw];
    void new SimWorker({ clientId: `restored ${queue}`, gateway, queue, check, draw, knobs, holds: () => {} });
  }
}

async function firstNodeOf(backup: TakenBackup): Promise<number> {
  const rows: KeyValue[] = [];
  for await (const part of readGroup(backup, fileNameOf(0))) if (part.type === 'rows') rows.push(...part.rows);
  const restored = restoredMetadata(rows, RestoredCluster.IDENTITY);
  if (restored === undefined) throw new Violation('backup', 'its metadata is of no cluster');
  return restored.nodeId;
}
