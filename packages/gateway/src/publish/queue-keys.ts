import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import type { MessageBindings } from '@sluice/queue/key-expression/bindings';
import type { KeyEnvironment } from '@sluice/queue/key-expression/environment';
import { compileKeyExpression, type KeyExpression } from '@sluice/queue/key-expression/key-expression';
import type { Publisher } from './durable-publish.ts';

/**
 * Keys of last-value queues. An expression is compiled once a definition; a message is looked at through one reused
 * view, so that a key such as the client id costs no map of everything a message has.
 */
export class QueueKeys {
  readonly #environment: KeyEnvironment;
  readonly #compiled = new WeakMap<QueueDefinition, KeyExpression | string>();
  readonly #view = new PublishBindings();

  /** The record format keeps a key's length in two bytes. */
  static readonly KEY_BYTES_MAX = 65_535;

  constructor(environment: KeyEnvironment) {
    this.#environment = environment;
  }

  keyFor(queue: QueueDefinition, packet: PublishPacket, publisher: Publisher, nowMs: number): KeyOutcome {
    const expression = this.#expression(queue);
    if (typeof expression === 'string') return { ok: false, reason: expression };
    this.#view.show(packet, publisher, nowMs);
    const outcome = expression.evaluate(this.#view, this.#environment);
    if (!outcome.ok) return outcome;
    const key = Buffer.from(outcome.key, 'utf8');
    if (key.length > QueueKeys.KEY_BYTES_MAX) return { ok: false, reason: `the key has ${key.length} bytes` };
    return { ok: true, key };
  }

  #expression(queue: QueueDefinition): KeyExpression | string {
    let expression = this.#compiled.get(queue);
    if (expression === undefined) {
      const outcome = compileKeyExpression(queue.keyExpression ?? 'message.from');
      expression = outcome.ok ? outcome.expression : outcome.error.message;
      this.#compiled.set(queue, expression);
    }
    return expression;
  }
}

type KeyOutcome = { ok: true; key: Uint8Array } | { ok: false; reason: string };

/** One PUBLISH as key expressions see it. */
class PublishBindings implements MessageBindings {
  #packet: PublishPacket | undefined;
  #publisher: Publisher | undefined;
  #sequence = 0;
  timestampMs = 0;
  readonly clientAttributes = undefined;

  show(packet: PublishPacket, publisher: Publisher, nowMs: number): void {
    this.#packet = packet;
    this.#publisher = publisher;
    this.timestampMs = nowMs;
    this.#sequence++;
  }

  /** Unique in this process: time, then a running number. */
  get id(): string {
    const time = this.timestampMs.toString(16).toUpperCase().padStart(12, '0');
    return `${time}${this.#sequence.toString(16).toUpperCase().padStart(20, '0')}`;
  }
  get qos(): number {
    return this.#packet?.qos ?? 0;
  }
  get from(): string {
    return this.#publisher?.clientId ?? '';
  }
  get topic(): string {
    return this.#packet?.topic ?? '';
  }
  get payload(): Uint8Array {
    return this.#packet?.payload ?? EMPTY;
  }
  get retain(): boolean {
    return this.#packet?.retain ?? false;
  }
  get dup(): boolean {
    return this.#packet?.dup ?? false;
  }
  get username(): string | undefined {
    return this.#publisher?.username;
  }
  get peerHost(): string | undefined {
    return this.#publisher?.peerHost;
  }
  get peerName(): string | undefined {
    return this.#publisher?.peerName;
  }
  get protocolVersion(): number | undefined {
    return this.#publisher?.protocolVersion;
  }
  get properties(): MessageBindings['properties'] {
    return this.#packet?.properties;
  }
}

const EMPTY = new Uint8Array(0);
