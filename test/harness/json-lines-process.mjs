import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * A child process that says what happens to it, an event a line of JSON on its standard output, and is told what to do
 * by lines on its standard input. Whoever uses it waits for events, never for a time to pass.
 */
export class JsonLinesProcess {
  /** @type {Record<string, any>[]} */
  events = [];
  errors = '';
  #child;
  #waiting = new Set();
  #exited;

  constructor(command, args, options = {}) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.errors += text;
    });
    // A child that was killed does not read any more; how it ended is told by its exit.
    this.#child.stdin.on('error', () => {});
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line));
    this.#exited = once(this.#child, 'exit').then(([code, signal]) => {
      this.#look();
      return { code, signal };
    });
    this.#exited.catch(() => {});
  }

  get hasExited() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Events of one kind so far. */
  of(kind) {
    return this.events.filter((event) => event.event === kind);
  }

  /**
   * Waits until `condition` holds for the events so far, and returns what it returned. Throws with the events and the
   * child's errors when the time is up or the child ended without it.
   *
   * @template T
   * @param {string} what
   * @param {(events: Record<string, any>[]) => T | undefined} condition
   * @param {number} withinMs
   * @returns {Promise<T>}
   */
  async until(what, condition, withinMs = 10_000) {
    return await new Promise((resolve, reject) => {
      const waiter = { look: () => {} };
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(waiter);
        settle(value);
      };
      const timer = setTimeout(() => end(reject, this.#failure(what, `not within ${withinMs} ms`)), withinMs);
      waiter.look = () => {
        const result = condition(this.events);
        if (result) end(resolve, result);
        else if (this.hasExited) end(reject, this.#failure(what, 'the process ended'));
      };
      this.#waiting.add(waiter);
      waiter.look();
    });
  }

  /** Waits for the `count`-th event of a kind, and returns it. */
  async event(kind, count = 1, withinMs = 10_000) {
    return await this.until(`${count} × ${kind}`, () => this.of(kind)[count - 1], withinMs);
  }

  tell(command) {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /** No more commands; a well-behaved child finishes what it does and ends. */
  endInput() {
    this.#child.stdin.end();
  }

  async kill(signal = 'SIGTERM') {
    if (!this.hasExited) this.#child.kill(signal);
    return await this.#exited;
  }

  /** How it ended: `{ code, signal }`. */
  async exited() {
    return await this.#exited;
  }

  #take(line) {
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      event = { event: 'text', text: line };
    }
    this.events.push(event);
    this.#look();
  }

  #look() {
    for (const waiter of this.#waiting) waiter.look();
  }

  #failure(what, why) {
    const last = this.events.slice(-5).map((event) => JSON.stringify(event).slice(0, 200));
    return new Error(
      `waited for ${what}: ${why}\nlast events:\n${last.join('\n')}\nerrors:\n${this.errors.slice(-2_000)}`,
    );
  }
}
