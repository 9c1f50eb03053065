import type { Channel, Transport } from '@sluice/rpc/transport';

/** One channel as its store sees it: what came is written down, and it answers or ends when the test says. */
export class ScriptedChannel<Request, Response> implements Channel<Request, Response> {
  readonly nodeId: number;
  readonly requests: Request[] = [];
  unsentBytes = 0;
  isOpen = true;
  #listener: ((message: Response) => void) | undefined;
  #closeListener: (() => void) | undefined;
  readonly #sent: (channel: ScriptedChannel<Request, Response>, request: Request) => void;

  constructor(nodeId: number, sent: (channel: ScriptedChannel<Request, Response>, request: Request) => void) {
    this.nodeId = nodeId;
    this.#sent = sent;
  }

  // ---- the gateway's end

  send(message: Request): void {
    if (!this.isOpen) return;
    this.requests.push(message);
    this.#sent(this, message);
  }
  onMessage(listener: (message: Response) => void): void {
    this.#listener = listener;
  }
  onClose(listener: () => void): void {
    this.#closeListener = listener;
  }
  close(): void {
    this.isOpen = false;
  }

  // ---- the test's

  say(response: Response): void {
    if (this.isOpen) this.#listener?.(response);
  }
  lose(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#closeListener?.();
  }
}

/** Channels to any number of stores, without a wire: a node that is `down` loses what is opened to it a moment later. */
export class ScriptedTransport<Request, Response> implements Transport {
  readonly channels: ScriptedChannel<Request, Response>[] = [];
  readonly down = new Set<number>();
  sent: (channel: ScriptedChannel<Request, Response>, request: Request) => void = () => {};

  open<Out, In>(nodeId: number): Channel<Out, In> {
    const channel = new ScriptedChannel<Request, Response>(nodeId, (from, request) => this.sent(from, request));
    this.channels.push(channel);
    if (this.down.has(nodeId)) setImmediate(() => channel.lose());
    return channel as unknown as Channel<Out, In>;
  }

  call(): never {
    throw new Error('nothing is asked here');
  }

  /** The newest channel to a node. */
  to(nodeId: number): ScriptedChannel<Request, Response> {
    const found = this.channels.findLast((channel) => channel.nodeId === nodeId);
    if (found === undefined) throw new Error(`no channel was opened to node ${nodeId}`);
    return found;
  }

  openChannels(nodeId: number): ScriptedChannel<Request, Response>[] {
    return this.channels.filter((channel) => channel.nodeId === nodeId && channel.isOpen);
  }

  /** The process is gone: its channels end, and new ones do not come about. */
  kill(nodeId: number): void {
    this.down.add(nodeId);
    for (const channel of this.openChannels(nodeId)) channel.lose();
  }
}
