/**
 * When which value of a queue's settings may have been in force, by the name of the queue: from the question that brought
 * it until the answer to one that came after it, by the version of the definition. One that nobody answered may have been
 * done at any time since it was asked for. Where nodes may be cut off from the coordinators, what they act on has no end.
 */
export class SettingTimes<Settings extends object> {
  readonly #defaults: Settings;
  /** By name, where they are others. */
  readonly #initial = new Map<string, Settings>();
  readonly #areHeard: boolean;
  readonly #changes = new Map<string, Change<Settings>[]>();

  /** `areHeard`: a change that was answered is in force on every node, and what was before is not. */
  constructor(defaults: Settings, areHeard: boolean) {
    this.#defaults = defaults;
    this.#areHeard = areHeard;
  }

  /** What the queue of that name was made with. */
  began(name: string, settings: Settings): void {
    this.#initial.set(name, settings);
  }

  asked(name: string, settings: Partial<Settings>, atMs: number): Change<Settings> {
    const change: Change<Settings> = { settings, askedAtMs: atMs, answeredAtMs: undefined, version: undefined };
    const changes = this.#changes.get(name);
    if (changes === undefined) this.#changes.set(name, [change]);
    else changes.push(change);
    return change;
  }

  done(change: Change<Settings>, version: number, atMs: number): void {
    change.version = version;
    change.answeredAtMs = atMs;
  }

  /** Certainly nothing was changed. */
  refused(name: string, change: Change<Settings>): void {
    this.#changes.set(
      name,
      this.#of(name).filter((each) => each !== change),
    );
  }

  /** Every value that may have been in force at some time, and when. */
  *times<K extends keyof Settings>(name: string, key: K): Iterable<InForce<Settings[K]>> {
    const changes = this.#of(name).filter(({ settings }) => key in settings);
    yield {
      value: this.#initialOf(name)[key],
      fromMs: Number.NEGATIVE_INFINITY,
      untilMs: this.#endOf(undefined, changes),
    };
    for (const change of changes) {
      const value = change.settings[key] as Settings[K];
      yield { value, fromMs: change.askedAtMs, untilMs: this.#endOf(change, changes) };
    }
  }

  /** Those that may have been in force at some moment between the two. */
  valuesBetween<K extends keyof Settings>(name: string, key: K, fromMs: number, toMs: number): Settings[K][] {
    const values: Settings[K][] = [];
    for (const time of this.times(name, key)) {
      if (time.fromMs <= toMs && time.untilMs >= fromMs) values.push(time.value);
    }
    return values;
  }

  /** What the definition may say in the end: by the version that is the last, or by one that nobody answered. */
  mayEndWith<K extends keyof Settings>(name: string, key: K): Settings[K][] {
    const changes = this.#of(name).filter(({ settings }) => key in settings);
    const newest = Math.max(-1, ...changes.map(({ version }) => version ?? -1));
    const values = changes
      .filter(({ version }) => version === undefined || version === newest)
      .map(({ settings }) => settings[key] as Settings[K]);
    return newest === -1 ? [this.#initialOf(name)[key], ...values] : values;
  }

  #initialOf(name: string): Settings {
    return this.#initial.get(name) ?? this.#defaults;
  }

  #of(name: string): Change<Settings>[] {
    return this.#changes.get(name) ?? [];
  }

  #endOf(change: Change<Settings> | undefined, changes: readonly Change<Settings>[]): number {
    if (!this.#areHeard || (change !== undefined && change.version === undefined)) return Number.POSITIVE_INFINITY;
    let endMs = Number.POSITIVE_INFINITY;
    for (const { version, answeredAtMs } of changes) {
      if (version !== undefined && version > (change?.version ?? -1)) endMs = Math.min(endMs, answeredAtMs as number);
    }
    return endMs;
  }
}

export interface Change<Settings> {
  readonly settings: Partial<Settings>;
  readonly askedAtMs: number;
  answeredAtMs: number | undefined;
  /** Of the definition that it made; undefined: nobody knows. */
  version: number | undefined;
}

export interface InForce<Value> {
  readonly value: Value;
  readonly fromMs: number;
  readonly untilMs: number;
}
