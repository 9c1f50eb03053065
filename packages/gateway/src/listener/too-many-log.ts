import type { Logger } from '@sluice/common/logger';
import type { EntranceRefusal } from './socket-entrance.ts';

/**
 * Whoever is one too many is hung up on without a word, since most clients never come again after a CONNACK that refuses.
 * So nobody but the log can say why: the first of a reason at once, then one every `REPEAT_MS` with how many came between. A
 * flood of connections is no flood of lines.
 */
export class TooManyLog {
  readonly #logger: Logger;
  readonly #told = new Map<TooMany, { atMs: number; since: number }>();

  static readonly REPEAT_MS = 10_000;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  note(reason: TooMany, peer: string, nowMs: number): void {
    const told = this.#told.get(reason);
    if (told !== undefined && nowMs - told.atMs < TooManyLog.REPEAT_MS) {
      told.since++;
      return;
    }
    this.#told.set(reason, { atMs: nowMs, since: 0 });
    const { setting, text } = SAID[reason];
    const hint = `${setting} bounds it; sluice_gateway_handshakes_refused_total{reason="${reason}"} counts them`;
    this.#logger.warn({ peer, others: told?.since ?? 0, hint }, text);
  }
}

export type TooMany = Extract<EntranceRefusal, 'rate' | 'address'>;

const SAID: Readonly<Record<TooMany, { setting: string; text: string }>> = {
  rate: {
    setting: 'mqtt.connectRate',
    text: 'clients connect faster than they may: connections are closed without a CONNACK, and clients come again',
  },
  address: {
    setting: 'mqtt.connectionsPerAddress',
    text: 'an address has as many connections as it may: further ones are closed without a CONNACK',
  },
};
