import type { Address } from '../load/driver.ts';

/**
 * A broker as the runner sees it: how it is started and stopped, and how what a workload needs is declared and reached
 * in it. Everything it writes is below the directory it is given.
 */
export interface Peer {
  /** At most 15 characters: it heads a row. */
  readonly name: string;
  /** What is behind the name, for the legend: version, settings that matter, how clients reach it. */
  describe(): string;
  /** What to type to get it; undefined when it is there. */
  missing(): string | undefined;
  /** How many nodes store a message. */
  readonly copies: number;
  /** What its documentation says of an acknowledged message, used where it cannot be watched. */
  readonly documentedSync: SyncAnswer;
  /** Resolves once a client is answered. */
  start(place: Place): Promise<RunningPeer>;
}

/** Whether an acknowledged message is on the disk: `memory`, nothing is written at all. */
export type SyncAnswer = 'yes' | 'no' | 'memory';

export interface Place {
  /** Empty; removed afterwards. */
  directory: string;
  /** What it starts is stopped with the run, however that ends. */
  processes: Processes;
}

export interface RunningPeer {
  /** From the start to the first answer to a client, of the last node. */
  readonly startMs: number;
  /** Of what was started; what these have started counts too. */
  readonly pids: readonly number[];
  /** Where it is managed over HTTP, when it is. */
  readonly manage?: string;
  /** Where it keeps data. */
  readonly directories: readonly string[];
  /** Undefined when it has no such thing. */
  open(need: ChannelNeed): Promise<Channel | undefined>;
  stop(): Promise<void>;
}

/** What a workload wants to publish to and consume from. */
export interface ChannelNeed {
  /**
   * `queue`: each message to one of the consumers. `queues`: the same, a queue a key. `last-value`: the newest of each key.
   * `fan-out`: each to all.
   */
  kind: 'queue' | 'queues' | 'last-value' | 'fan-out';
  /** Letters, digits and hyphens; unique in the run. */
  name: string;
  qos: 0 | 1;
  keys: number;
  prefetch: number;
  payloadBytes: number;
}

export interface Channel {
  publish: Way;
  consume: Way;
}

/** How one side reaches the broker. */
export interface Way {
  /** The address of a module that exports `driver`. */
  driver: string;
  /** Clients are spread over these. */
  addresses: readonly Address[];
  /** To publish to, by key. */
  topics: readonly string[];
  /** To consume from. */
  sources: readonly string[];
  options: Readonly<Record<string, string | number | boolean>>;
}

/** Starts processes that end with the run (`StartedProcesses`). */
export interface Processes {
  start(command: readonly string[], options: StartOptions): Promise<StartedProcess>;
  /** A port nobody has. */
  port(): Promise<number>;
}

export interface StartOptions {
  /** A file that gets what it prints. */
  log: string;
  env?: Readonly<Record<string, string>>;
  directory?: string;
  /** Kept open as long as the run lives. */
  hasInput?: boolean;
}

export interface StartedProcess {
  readonly pid: number;
  readonly hasEnded: boolean;
  /** At once, with all it has started: nothing of it is needed any more. */
  stop(): Promise<void>;
  /** Waits until `answers` gives true; throws with the end of the log when it ends before. */
  until(answers: () => Promise<boolean>, timeoutMs: number): Promise<void>;
}
