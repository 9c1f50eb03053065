import type { LogFields, Logger } from '@sluice/common/logger';

/**
 * A process that ends without a line leaves nothing to look into. The log is written in the background, so whoever ends
 * the process in between takes the last lines along, and with them the reason; an event loop with nothing to do ends
 * it with code 0, and a signal that nobody listens to at once.
 *
 * So whoever ends it on purpose says why and comes here, and every other end that JavaScript hears of says what it was. What
 * it does not hear of: V8 writes its own line when the heap is full; of SIGKILL and of a crash in native code the next
 * start tells (`ground`).
 */
export class LastWords {
  readonly #log: { flush(): void };
  readonly #direct: Logger;
  #isSaid = false;

  /** `log`: what others write to; `direct`: writes at once, since what is under way to `log` may not arrive. */
  constructor(log: { flush(): void }, direct: Logger) {
    this.#log = log;
    this.#direct = direct;
    process.on('uncaughtExceptionMonitor', (cause, origin) => {
      this.#say({ err: cause, origin }, 'this process ends by an error that nobody expected');
    });
    process.once('exit', (code) => this.#say({ code }, 'this process ends, and nobody has asked for it'));
    for (const signal of DEADLY) {
      // Somebody who looks into this process uses it.
      if (process.listenerCount(signal) > 0) continue;
      process.once(signal, () => {
        this.#say({ signal }, 'this process ends at once, by a signal');
        process.kill(process.pid, signal);
      });
    }
  }

  /** The reason was logged. */
  leave(exitCode: number): never {
    this.#isSaid = true;
    this.#log.flush();
    process.exit(exitCode);
  }

  #say(fields: LogFields, message: string): void {
    if (this.#isSaid) return;
    this.#isSaid = true;
    this.#log.flush();
    this.#direct.error(fields, message);
  }
}

/** They end a process that does not listen to them; SIGTERM, SIGINT and SIGHUP are listened to. */
const DEADLY: readonly NodeJS.Signals[] = ['SIGQUIT', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGXCPU'];
