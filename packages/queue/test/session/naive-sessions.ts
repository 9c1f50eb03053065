import type { SessionCommand } from '../../src/session/commands.ts';
import type { SessionReply } from '../../src/session/session-reply.ts';

/** Sessions as one would write them without thinking of size: each with its own list of what it has still to get. */
export class NaiveSessions {
  readonly sessions = new Map<string, NaiveSession>();
  nowMs = 0;

  publish(filter: string, message: number): void {
    for (const session of this.sessions.values()) {
      const subscription = session.subscriptions.get(filter);
      if (subscription?.isStored === true) subscription.waiting.push(message);
    }
  }

  /** What the machine must answer, less the numbers it draws. */
  run(command: SessionCommand, epochs: ReadonlyMap<string, number>): unknown {
    switch (command.type) {
      case 'open-session': {
        const { clientId, cleanStart, expiryS } = command;
        this.#expire(clientId);
        const known = this.sessions.get(clientId);
        if (known !== undefined && known.identity !== command.identity) return 'session-denied';
        if (cleanStart) this.sessions.delete(clientId);
        const session = this.sessions.get(clientId);
        if (session === undefined && expiryS === 0) return { present: false, filters: [], kept: false };
        const subscriptions = session?.subscriptions ?? new Map();
        this.sessions.set(clientId, {
          identity: command.identity,
          isConnected: true,
          endsMs: 0,
          expiryS,
          subscriptions,
        });
        return { present: session !== undefined, filters: [...subscriptions.keys()].sort(), kept: true };
      }
      case 'subscribe-session': {
        const session = this.#held(command, epochs);
        if (session === undefined) return 'session-fenced';
        for (const { filter, isStored } of command.subscriptions) {
          const known = session.subscriptions.get(filter);
          const waiting = known?.isStored === true && isStored ? known.waiting : [];
          session.subscriptions.set(filter, { isStored, waiting });
        }
        return 'session-subscribed';
      }
      case 'unsubscribe-session': {
        const session = this.#held(command, epochs);
        if (session === undefined) return 'session-fenced';
        return command.filters.map((filter) => session.subscriptions.delete(filter));
      }
      case 'close-session': {
        const session = this.#held(command, epochs);
        if (session === undefined) return false;
        session.isConnected = false;
        session.expiryS = command.expiryS ?? session.expiryS;
        session.endsMs = this.nowMs + session.expiryS * 1000;
        if (session.expiryS === 0) this.sessions.delete(command.clientId);
        return true;
      }
      case 'expire-sessions':
        return command.clientIds.filter((clientId) => this.#expire(clientId));
      case 'pass-session':
        throw new Error('passes are told by message');
    }
  }

  #held({ clientId, epoch }: { clientId: string; epoch: number }, epochs: ReadonlyMap<string, number>) {
    const session = this.sessions.get(clientId);
    return session?.isConnected === true && epochs.get(clientId) === epoch ? session : undefined;
  }

  #expire(clientId: string): boolean {
    const session = this.sessions.get(clientId);
    if (session === undefined || session.isConnected || session.endsMs > this.nowMs) return false;
    return this.sessions.delete(clientId);
  }
}

interface NaiveSession {
  identity: string;
  isConnected: boolean;
  endsMs: number;
  expiryS: number;
  subscriptions: Map<string, { isStored: boolean; waiting: number[] }>;
}

/** The same of the machine's answer. */
export function comparable(reply: SessionReply): unknown {
  switch (reply.type) {
    case 'session-opened':
      return {
        present: reply.present,
        filters: reply.subscriptions.map(({ filter }) => filter).sort(),
        kept: reply.epoch > 0,
      };
    case 'session-unsubscribed':
      return reply.existed;
    case 'session-closed':
      return reply.changed;
    case 'sessions-expired':
      return reply.clientIds;
    default:
      return reply.type;
  }
}
