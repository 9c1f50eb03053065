import { SluiceError } from '@sluice/common/errors';
import type { CallService, Channel, ChannelService, ServiceRegistry, Transport } from '../transport.ts';

/**
 * The transport of roles that live in one process. A message is handed over in a microtask, never inside `send`: no
 * sender is re-entered by the answer to what it is still sending, exactly as over a wire.
 *
 * With `isolate`, every message is cloned on the way, so that a test (or the simulator) notices two nodes that share an
 * object. Production passes references: a payload that was encoded once is not copied for the sake of a boundary.
 */
export class InprocTransport implements Transport, ServiceRegistry {
  readonly #channelServices = new Map<ChannelService, (channel: Channel<unknown, unknown>) => void>();
  readonly #callServices = new Map<CallService, (request: unknown) => Promise<unknown>>();
  readonly #isolate: boolean;

  constructor(options: { isolate: boolean }) {
    this.#isolate = options.isolate;
  }

  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>) => void): void {
    this.#channelServices.set(service, accept as (channel: Channel<unknown, unknown>) => void);
  }

  serveCall<Request, Response>(service: CallService, answer: (request: Request) => Promise<Response>): void {
    this.#callServices.set(service, answer as (request: unknown) => Promise<unknown>);
  }

  open<Out, In>(_nodeId: number, service: ChannelService): Channel<Out, In> {
    const near = new InprocChannel(this.#isolate);
    const far = new InprocChannel(this.#isolate);
    near.join(far);
    far.join(near);
    const accept = this.#channelServices.get(service);
    if (accept === undefined) near.close();
    else accept(far as Channel<unknown, unknown>);
    return near as Channel<Out, In>;
  }

  async call<Request, Response>(_nodeId: number, service: CallService, request: Request): Promise<Response> {
    const answer = this.#callServices.get(service);
    if (answer === undefined) {
      throw new SluiceError('PEER_UNAVAILABLE', `no role of this node serves ${service}`, {
        retriable: true,
        hint: 'start a node with the role that serves it',
      });
    }
    const response = await answer(this.#isolate ? structuredClone(request) : request);
    return (this.#isolate ? structuredClone(response) : response) as Response;
  }
}

/** One end. Its inbox is drained in one microtask, however many messages were sent in the turn. */
class InprocChannel implements Channel<unknown, unknown> {
  readonly #isolate: boolean;
  #peer: InprocChannel | undefined;
  #inbox: unknown[] = [];
  #listener: ((message: unknown) => void) | undefined;
  #closeListener: (() => void) | undefined;
  #draining = false;
  #closed = false;
  readonly #drain = (): void => this.#drainInbox();

  constructor(isolate: boolean) {
    this.#isolate = isolate;
  }

  join(peer: InprocChannel): void {
    this.#peer = peer;
  }

  send(message: unknown): void {
    if (this.#closed) return;
    this.#peer?.accept(this.#isolate ? structuredClone(message) : message);
  }

  accept(message: unknown): void {
    if (this.#closed) return;
    this.#inbox.push(message);
    this.#schedule();
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#listener = listener;
    if (this.#inbox.length > 0) this.#schedule();
  }

  onClose(listener: () => void): void {
    this.#closeListener = listener;
    if (this.#closed) queueMicrotask(listener);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox = [];
    const listener = this.#closeListener;
    if (listener !== undefined) queueMicrotask(listener);
    const peer = this.#peer;
    if (peer !== undefined) queueMicrotask(() => peer.close());
  }

  #schedule(): void {
    if (this.#draining || this.#listener === undefined) return;
    this.#draining = true;
    queueMicrotask(this.#drain);
  }

  #drainInbox(): void {
    this.#draining = false;
    const listener = this.#listener;
    const messages = this.#inbox;
    if (listener === undefined || messages.length === 0) return;
    this.#inbox = [];
    for (const message of messages) {
      if (this.#closed) return;
      listener(message);
    }
  }
}
