import type { RunningPeer } from './peer.ts';
import { type BrokerFigures, directoryBytes, familyOf, figuresOf } from './process-figures.ts';

const SAMPLE_MS = 250;

export interface BrokerLook extends BrokerFigures {
  directoryBytes: number;
}

/** A broker's processes and directories over a measurement; the most memory is sampled, since the kernel's own peak
 * is that of the whole life. */
export class BrokerWatch {
  readonly #peer: RunningPeer;
  #rssMost = 0;
  #timer: NodeJS.Timeout | undefined;
  #family: number[];

  constructor(peer: RunningPeer) {
    this.#peer = peer;
    this.#family = familyOf(peer.pids);
  }

  /** Nothing of it can be seen from here: it runs elsewhere, or it was not said which processes it is. */
  get isBlind(): boolean {
    return this.#peer.pids.length === 0;
  }

  look(): BrokerLook {
    this.#family = familyOf(this.#peer.pids);
    const figures = figuresOf(this.#family);
    this.#rssMost = Math.max(this.#rssMost, figures.rssBytes);
    return { ...figures, directoryBytes: directoryBytes(this.#peer.directories) };
  }

  /** Begins to sample. */
  begin(): BrokerLook {
    this.#rssMost = 0;
    this.#timer = setInterval(() => {
      this.#rssMost = Math.max(this.#rssMost, figuresOf(this.#family).rssBytes);
    }, SAMPLE_MS);
    return this.look();
  }

  get rssMostBytes(): number {
    return this.#rssMost;
  }

  end(): BrokerLook {
    clearInterval(this.#timer);
    return this.look();
  }
}
