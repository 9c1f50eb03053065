import type { ConsumerLink, IdlerLink, PublisherLink } from './driver.ts';
import type { AudienceAccount, LatestAccount } from './sequence-ledger.ts';
import type { PublisherAccount } from './sequence-verdict.ts';

/**
 * What the runner says to a process of the load and hears from it. Data only: it crosses a pipe. A process is
 * prepared, opened, looked at as often as the runner wants, closed, and asked for its accounts at the end.
 */
export interface PublishersPlan {
  side: 'publishers';
  /** The address of a module that exports `driver`. */
  driver: string;
  run: number;
  window: number;
  /** Of each publisher; 0 for as many as there is room for. */
  perSecond: number;
  /** Of each publisher; 0 for no end. */
  messagesMax: number;
  keys: number;
  /** Published and not consumed, of all publishers; 0 for no bound. */
  backlogMax: number;
  links: PublisherLink[];
}

export interface ConsumersPlan {
  side: 'consumers';
  driver: string;
  run: number;
  /** 0, or the queue keeps the newest value of this many keys of each publisher. */
  latestKeys: number;
  /** Messages of a publisher are in order within each of so many keys: a queue each. */
  orderedKeys: number;
  links: (ConsumerLink & { audience: number; workMs: number })[];
}

/** Connections that do nothing, opened a few at a time. */
export interface IdlersPlan {
  side: 'idlers';
  driver: string;
  run: number;
  links: IdlerLink[];
}

export type LoadPlan = PublishersPlan | ConsumersPlan | IdlersPlan;

export type LoadCommand =
  | { do: 'prepare'; plan: LoadPlan }
  | { do: 'open'; perSecond?: number }
  /** Another rate, and another bound on the backlog. What is overdue is not made up for. */
  | { do: 'change'; perSecond: number; backlogMax: number }
  /** How far the slowest audience has come in the publishers' sequences: the bound on the backlog is counted from it. */
  | { do: 'consumed'; messages: number }
  | { do: 'look' }
  | { do: 'close' }
  | { do: 'account' }
  | { do: 'end' };

export type LoadEvent =
  | { event: 'prepared' }
  | { event: 'looked'; look: LoadLook }
  | { event: 'consumed'; messages: number }
  | { event: 'closed' }
  | { event: 'accounts'; accounts: LoadAccounts }
  | { event: 'failed'; message: string };

/** The state of one process; latencies are those since the last look. */
export interface LoadLook {
  atUs: number;
  cpuUs: number;
  sent: number;
  acknowledged: number;
  refused: number;
  /** Different messages, over all audiences. */
  received: number;
  /** By consumer, also those that came again. */
  receivedBy: number[];
  /** Buckets of a `LatencySketch`. */
  latencies: Float64Array;
  /** Everything this publisher side had to send is sent. */
  isDone: boolean;
}

export interface LoadAccounts {
  publishers: PublisherAccount[];
  audiences: AudienceAccount[];
  latest: LatestAccount[];
}
