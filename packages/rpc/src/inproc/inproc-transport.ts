import type { CallService, Channel, ChannelService, ServiceRegistry, Transport } from '../transport.ts';
import { type InprocLink, inprocPair } from './inproc-channel.ts';
import { type MessageCopies, REFERENCES } from './message-copies.ts';
import { ServiceTable } from './service-table.ts';

/**
 * The transport of roles that live in one process: every node id leads to the same services. A message is handed over
 * in a microtask, never inside `send`: no sender is re-entered by the answer to what it is still sending, exactly as
 * over a wire.
 *
 * Production passes references: a payload that was encoded once is not copied for the sake of a boundary. With
 * `wire-copies`, every message makes the way it would make between nodes, encoded and decoded, so that a test notices two
 * roles that share an object or say what the wire cannot carry.
 */
export class InprocTransport implements Transport, ServiceRegistry {
  readonly #services: ServiceTable;
  readonly #copies: MessageCopies;
  #nodeId: number;

  /** `nodeId` is whom the services see as `from`; `services` is given when another transport serves them too. */
  constructor(options: { copies?: MessageCopies; nodeId?: number; services?: ServiceTable } = {}) {
    this.#services = options.services ?? new ServiceTable();
    this.#copies = options.copies ?? REFERENCES;
    this.#nodeId = options.nodeId ?? 1;
  }

  /** A node learns its id after it has begun to listen. */
  setNodeId(nodeId: number): void {
    this.#nodeId = nodeId;
  }

  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>, from: number) => void): void {
    this.#services.serveChannel(service, accept);
  }

  serveCall<Request, Response>(
    service: CallService,
    answer: (request: Request, from: number) => Promise<Response>,
  ): void {
    this.#services.serveCall(service, answer);
  }

  open<Out, In>(_nodeId: number, service: ChannelService): Channel<Out, In> {
    const copies = this.#copies.channel(service);
    const { near, far } = inprocPair(localLink(copies.request), localLink(copies.response));
    const accept = this.#services.channel(service);
    if (accept === undefined) near.end();
    else accept(far, this.#nodeId);
    return near as Channel<Out, In>;
  }

  async call<Request, Response>(_nodeId: number, service: CallService, request: Request): Promise<Response> {
    const copies = this.#copies.call(service);
    const response = await this.#services.answer(service)(copies.request(request), this.#nodeId);
    return copies.response(response) as Response;
  }
}

function localLink(copy: (message: unknown) => unknown): InprocLink {
  return { copy, isCut: () => false, schedule: queueMicrotask };
}
