import { encodeSessionCommand } from '@sluice/queue/session/command-codec';
import type { Pass } from '@sluice/queue/session/commands';

/** What sessions of one partition are done with, gathered over a turn into few commands; neighbours become one range. */
export class PassBatcher {
  readonly #commit: (command: Uint8Array) => void;
  #open = new Map<string, OpenPass>();
  #last: OpenPass | undefined;

  /** Of one command: what it costs to apply stays bounded. */
  static readonly PASSES_MAX = 2_048;

  constructor(commit: (command: Uint8Array) => void) {
    this.#commit = commit;
  }

  add(clientId: string, epoch: number, streamId: number, from: number, to: number): void {
    let pass = this.#last;
    if (pass?.clientId !== clientId || pass.streamId !== streamId || pass.epoch !== epoch) {
      const key = `${streamId}:${epoch}:${clientId}`;
      pass = this.#open.get(key);
      if (pass === undefined) {
        if (this.#open.size === 0) setImmediate(() => this.flush());
        pass = { clientId, epoch, streamId, ranges: [] };
        this.#open.set(key, pass);
      }
      this.#last = pass;
    }
    const { ranges } = pass;
    if (ranges.length > 0 && ranges[ranges.length - 1] === from) ranges[ranges.length - 1] = to;
    else ranges.push(from, to);
  }

  flush(): void {
    if (this.#open.size === 0) return;
    const open = [...this.#open.values()];
    this.clear();
    for (let at = 0; at < open.length; at += PassBatcher.PASSES_MAX) {
      const passes = open.slice(at, at + PassBatcher.PASSES_MAX);
      this.#commit(encodeSessionCommand({ type: 'pass-session', passes }));
    }
  }

  clear(): void {
    this.#open = new Map();
    this.#last = undefined;
  }
}

interface OpenPass extends Pass {
  ranges: number[];
}
