import { setTimeout as delay } from 'node:timers/promises';
import { SluiceError } from '@sluice/common/errors';
import { includes, type LevelRange, levelUnsupported } from '@sluice/meta/feature-levels';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { Topology } from '@sluice/meta/topology';

const LEAVE_MS_MAX = 2_000;

/** Of a node whose id is somebody's past. */
export const GIVEN_UP = 'its id was given up';

/**
 * Whether the cluster counts on this node still.
 *
 * Gateways come and go: what is silent for long and keeps nothing is given up by the coordinators, or every pod there ever
 * was would be missed for good. One that was only cut off goes on serving its clients without hearing that, and when it
 * is back nobody passes live messages on to it. So it ends, and whoever starts it again starts a new one. A node that was
 * told to leave ends when an operator stops it.
 */
export class OwnPlace {
  /** Resolves, with words for the log, when the node has lost its place. */
  readonly lost: Promise<SluiceError>;
  readonly #options: OwnPlaceOptions;
  #lose: (cause: SluiceError) => void = () => {};
  #state: NodeInfo['state'] | undefined;
  #isLeaving = false;

  constructor(options: OwnPlaceOptions) {
    this.#options = options;
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  /** After each change of the image. */
  look(): void {
    const { topology, nodeId, keepsData, supported } = this.#options;
    const { level } = topology.featureLevel;
    if (topology.epoch > 0 && !includes(supported, level)) {
      this.#lose(levelUnsupported(level, supported));
      return;
    }
    const former = this.#state;
    // Of those that are gone the metadata forgets the oldest.
    this.#state = topology.node(nodeId)?.state ?? (former === undefined ? undefined : 'gone');
    if (keepsData || this.#isLeaving || this.#state !== 'gone' || former === 'gone' || former === 'leaving') return;
    void this.refused(`the cluster goes on without this node: ${GIVEN_UP} while it was not heard of`).then(this.#lose);
  }

  /** Its data is of another cluster than the one it was told to join. */
  isForeign(cause: SluiceError): void {
    this.#lose(cause);
  }

  /** A stop of a node that shall not be missed. What the cluster does not hear now it sees after a while. */
  async leave(tell: () => Promise<unknown>): Promise<void> {
    if (!this.#options.leavesOnStop) return;
    this.#isLeaving = true;
    const told = tell().catch(() => undefined);
    await Promise.race([told, delay(LEAVE_MS_MAX, undefined, { ref: false })]);
    await this.#options.forget();
  }

  /** What to say of a node that has no place any more. One that keeps nothing is nobody from now on, and may join anew. */
  async refused(message: string): Promise<SluiceError> {
    const { keepsData, forget } = this.#options;
    if (!keepsData) await forget();
    const hint = keepsData
      ? 'another node replaced it: give it an empty data directory to join as a new one'
      : 'start it again: it keeps nothing, and joins as a new one';
    return new SluiceError('NODE_REFUSED', message, { hint });
  }
}

export interface OwnPlaceOptions {
  topology: Topology;
  nodeId: number;
  supported: LevelRange;
  /** Whether messages or definitions are here, and a promise about them goes with the id. */
  keepsData: boolean;
  leavesOnStop: boolean;
  /** The data directory is nobody's from then on. */
  forget(): Promise<void>;
}
