import type { ExchangeStep } from './commands.ts';

/**
 * Packet identifiers of a session that mean something beyond its connection.
 *
 * *Taken*: its client publishes under them at QoS 2, and they are not released. Each has a number that its partition
 * never gives twice: packet identifiers come again, so a queue that is to take a publish once, whoever brings it and how
 * often, must be told which use of the identifier it is.
 *
 * *Bound*: under them its client was sent, or may have been sent, a record. Whoever has the session next must send the
 * same record under the same identifier; to a client, another one is another message.
 *
 * *Refused*: the last publish under them was refused, and its client may not have heard so. Some of those who were to
 * store it may have it: brought again, it must not be another message, so its client is told once more.
 *
 * All are bounded by there being 65,535 packet identifiers. Within an epoch commands come numbered, one after the other:
 * one that was sent again, and comes when it has no business here any more, changes nothing.
 */
export class Exchanges {
  /** Of the commands that `serial` counts. */
  epoch = 0;
  serial = 0;
  /** Packet id to number; in the order of numbers. */
  readonly taken = new Map<number, number>();
  /** In the order in which they were bound. */
  readonly bound = new Map<number, BoundId>();
  /** Packet id to reason code, the newest last. */
  readonly refused = new Map<number, number>();

  /** The row is rewritten with each step, and who never uses an id again leaves it here: the oldest gives way. */
  static readonly REFUSED_MAX = 256;

  get isEmpty(): boolean {
    return this.taken.size === 0 && this.bound.size === 0 && this.refused.size === 0;
  }

  /** False: it was applied before. */
  begins(epoch: number, serial: number): boolean {
    if (this.epoch !== epoch) {
      this.epoch = epoch;
      this.serial = 0;
    }
    if (serial <= this.serial) return false;
    this.serial = serial;
    return true;
  }

  apply(step: ExchangeStep, draw: () => number): void {
    const { packetId } = step;
    switch (step.type) {
      case 'take':
        this.refused.delete(packetId);
        if (!this.taken.has(packetId)) this.taken.set(packetId, draw());
        return;
      case 'release':
        this.taken.delete(packetId);
        return;
      case 'refuse': {
        this.taken.delete(packetId);
        this.refused.delete(packetId);
        this.refused.set(packetId, step.reasonCode);
        const [oldest = packetId] = this.refused.keys();
        if (this.refused.size > Exchanges.REFUSED_MAX) this.refused.delete(oldest);
        return;
      }
      case 'bind': {
        const { qos, streamId, offset } = step;
        this.bound.delete(packetId);
        this.bound.set(packetId, { packetId, state: qos === 1 ? 'sent-qos1' : 'sent-qos2', streamId, offset });
        return;
      }
      case 'receive':
        // In its place: PUBREL goes out again in the order of the messages.
        this.bound.set(packetId, { packetId, state: 'received', streamId: 0, offset: 0 });
        return;
      case 'finish':
        this.bound.delete(packetId);
    }
  }

  /** Of a command that was sent again, too. */
  numbersOf(steps: readonly ExchangeStep[]): number[] {
    const numbers: number[] = [];
    for (const { type, packetId } of steps) if (type === 'take') numbers.push(this.taken.get(packetId) ?? 0);
    return numbers;
  }
}

export interface BoundId {
  readonly packetId: number;
  /** `received`: by the client, which is owed a PUBREL. */
  readonly state: BoundState;
  /** Which record; stream 0: none that the store has, or none any more. */
  readonly streamId: number;
  readonly offset: number;
}

export type BoundState = 'sent-qos1' | 'sent-qos2' | 'received';

export interface TakenId {
  readonly packetId: number;
  readonly number: number;
}

export interface RefusedId {
  readonly packetId: number;
  readonly reasonCode: number;
}
