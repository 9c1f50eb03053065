import { SluiceError } from '@sluice/common/errors';
import type { CallService, Channel, ChannelService, ServiceRegistry } from '../transport.ts';

export type AcceptChannel = (channel: Channel<unknown, unknown>, from: number) => void;
export type AnswerCall = (request: unknown, from: number) => Promise<unknown>;

/** What the roles of one node serve. A service registered again replaces the former one. */
export class ServiceTable implements ServiceRegistry {
  readonly #channels = new Map<ChannelService, AcceptChannel>();
  readonly #calls = new Map<CallService, AnswerCall>();

  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>, from: number) => void): void {
    this.#channels.set(service, accept as AcceptChannel);
  }

  serveCall<Request, Response>(
    service: CallService,
    answer: (request: Request, from: number) => Promise<Response>,
  ): void {
    this.#calls.set(service, answer as AnswerCall);
  }

  channel(service: ChannelService): AcceptChannel | undefined {
    return this.#channels.get(service);
  }

  /** A call nobody serves is answered by a rejection. */
  answer(service: CallService): AnswerCall {
    return this.#calls.get(service) ?? (() => Promise.reject(notServed(service)));
  }
}

function notServed(service: CallService): SluiceError {
  return new SluiceError('PEER_UNAVAILABLE', `no role of this node serves ${service}`, {
    retriable: true,
    hint: 'start a node with the role that serves it',
  });
}
