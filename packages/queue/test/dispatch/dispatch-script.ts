import { SeededPrng } from '@sluice/common/prng';
import { type DeliveryRef, Dispatcher, type DispatchStrategyName } from '@sluice/queue/dispatch/dispatcher';

/** A new ref of a fresh record. */
export function freshRef(offset: number): DeliveryRef {
  return { offset, rowBase: offset - (offset % 4), deliveryCount: 1, sizeBytes: 100 };
}

/**
 * Plays a script against a dispatcher and writes it again with what really happened after each `=>`; a test compares
 * the two. One verb a line:
 *
 *   strategy NAME | redelivery-max N | attach ID window N | window ID N | tick MS
 *   offer OFFSET... => consumer...        accept ID OFFSET => ok|stale      reject ID OFFSET => ok|stale
 *   redeliver => OFFSET#COUNT to ID       detach ID => OFFSET#COUNT...      supersede OFFSET => outcome
 *   room | waiting | due => number        held OFFSET => yes|no             holdings ID => OFFSET...
 */
export function playScript(script: string): string {
  const player = new ScriptPlayer();
  return script
    .split('\n')
    .map((line) => {
      if (line === '' || line.startsWith('#')) return line;
      const [command] = line.split(' => ') as [string];
      const outcome = player.play(command.split(' '));
      return outcome === undefined ? command : `${command} => ${outcome}`;
    })
    .join('\n');
}

class ScriptPlayer {
  #nowMs = 0;
  #redeliveryMax: number | undefined;
  #strategy: DispatchStrategyName = 'random';
  #dispatcher: Dispatcher | undefined;

  play(words: string[]): string | undefined {
    const [verb, first = ''] = words;
    const numbers = words.slice(1).map(Number);
    const [a = 0, b = 0] = numbers;
    const returned: DeliveryRef[] = [];
    switch (verb) {
      case 'strategy':
        this.#strategy = first as DispatchStrategyName;
        this.#dispatcher?.setStrategy(this.#strategy);
        return undefined;
      case 'redelivery-max':
        this.#redeliveryMax = a;
        return undefined;
      case 'attach':
        this.#get().attach(a, Number(words[3]));
        return undefined;
      case 'window':
        this.#get().setWindow(a, b);
        return undefined;
      case 'tick':
        this.#nowMs += a;
        return undefined;
      case 'offer':
        return numbers.map((offset) => this.#get().offer(freshRef(offset), this.#nowMs) || 'nobody').join(' ');
      case 'accept':
        return this.#get().accept(a, b, this.#nowMs) === undefined ? 'stale' : 'ok';
      case 'reject':
        return this.#get().reject(a, b, this.#nowMs) === undefined ? 'stale' : 'ok';
      case 'redeliver': {
        const assignment = this.#get().nextRedelivery(this.#nowMs);
        return assignment === undefined ? 'nothing' : `${inWords(assignment.ref)} to ${assignment.consumerId}`;
      }
      case 'detach':
        this.#get().detach(a, returned);
        return returned.map(inWords).join(' ') || 'none';
      case 'supersede':
        return this.#get().supersede(a);
      case 'held':
        return this.#get().isHeld(a) ? 'yes' : 'no';
      case 'holdings':
        return this.#get()
          .holdings(a)
          .map((ref) => ref.offset)
          .join(' ');
      case 'room':
        return `${this.#get().room()}`;
      case 'waiting':
        return `${this.#get().redeliveryCount}`;
      case 'due': {
        const dueMs = this.#get().earliestDueMs();
        return dueMs === Number.POSITIVE_INFINITY ? 'never' : `${dueMs}`;
      }
      default:
        throw new Error(`no such verb: ${verb}`);
    }
  }

  #get(): Dispatcher {
    this.#dispatcher ??= new Dispatcher({
      strategy: this.#strategy,
      prng: new SeededPrng(1),
      redispatchIntervalMs: 100,
      redeliveryMax: this.#redeliveryMax,
    });
    return this.#dispatcher;
  }
}

function inWords(ref: DeliveryRef): string {
  return `${ref.offset}#${ref.deliveryCount}`;
}
