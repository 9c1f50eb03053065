import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { SluiceError } from '@sluice/common/errors';
import type { LoadAccounts, LoadCommand, LoadEvent, LoadLook, LoadPlan } from './load-plan.ts';

/** Built, also when this file is not. */
const PROCESS = new URL('../../dist/load/load-process.js', import.meta.url);
const ANSWER_MS_MAX = 120_000;
const END_MS_MAX = 5_000;

/** One process of the load, seen from the runner. It dies with the runner: its pipe closes. */
export class LoadMember {
  readonly #child: ChildProcess;
  readonly #onConsumed: (messages: number) => void;
  #awaited: { event: string; resolve(event: LoadEvent): void; reject(error: Error): void } | undefined;
  #failure: Error | undefined;

  private constructor(child: ChildProcess, onConsumed: (messages: number) => void) {
    this.#child = child;
    this.#onConsumed = onConsumed;
    child.on('message', (event: LoadEvent) => this.#take(event));
    child.on('exit', (code, signal) => this.#fail(`a process of the load ended (code ${code}, signal ${signal})`));
  }

  static async start(plan: LoadPlan, onConsumed: (messages: number) => void = () => {}): Promise<LoadMember> {
    const child = fork(PROCESS, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const member = new LoadMember(child, onConsumed);
    try {
      await member.#ask({ do: 'prepare', plan }, 'prepared');
    } catch (error) {
      await member.end();
      throw error;
    }
    return member;
  }

  tell(command: LoadCommand): void {
    if (this.#child.connected) this.#child.send(command);
  }

  async look(): Promise<LoadLook> {
    const event = await this.#ask({ do: 'look' }, 'looked');
    return (event as Extract<LoadEvent, { event: 'looked' }>).look;
  }

  async close(): Promise<void> {
    await this.#ask({ do: 'close' }, 'closed');
  }

  async accounts(): Promise<LoadAccounts> {
    const event = await this.#ask({ do: 'account' }, 'accounts');
    return (event as Extract<LoadEvent, { event: 'accounts' }>).accounts;
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    this.tell({ do: 'end' });
    const timer = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX);
    await exited;
    clearTimeout(timer);
  }

  async #ask(command: LoadCommand, event: LoadEvent['event']): Promise<LoadEvent> {
    if (this.#failure !== undefined) throw this.#failure;
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(failed(`no answer to "${command.do}"`)), ANSWER_MS_MAX);
      const settle = <T>(done: (value: T) => void) => {
        return (value: T): void => {
          clearTimeout(timer);
          this.#awaited = undefined;
          done(value);
        };
      };
      this.#awaited = { event, resolve: settle(resolve), reject: settle(reject) };
      this.tell(command);
    });
  }

  #take(event: LoadEvent): void {
    if (event.event === 'consumed') this.#onConsumed(event.messages);
    else if (event.event === 'failed') this.#fail(event.message);
    else if (event.event === this.#awaited?.event) this.#awaited.resolve(event);
  }

  /** Of all that go wrong, the first is the cause. */
  #fail(message: string): void {
    this.#failure ??= failed(message);
    this.#awaited?.reject(this.#failure);
  }
}

function failed(message: string): SluiceError {
  return new SluiceError('BENCH_LOAD_FAILED', message);
}
