import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { SluiceError } from '@sluice/common/errors';
import { encode } from '../wire/codec.ts';
import type { ServiceCodecs } from '../wire/codecs.ts';
import { errorFrom, peerUnavailable } from './call-error.ts';
import { GRPC_CONTENT_TYPE } from './grpc-stream.ts';
import { CALL_TIMEOUT_MS, CLOSING_TIMEOUT_MS, LINK_IDLE_MS, OPENING_TIMEOUT_MS, RECONNECT_PAUSE_MS } from './limits.ts';
import { OpenedStream, type OpenedStreamEvents } from './opened-stream.ts';
import { isReachable, PeerConnection } from './peer-connection.ts';
import { StreamChannel } from './stream-channel.ts';
import type { TlsFiles } from './tls-files.ts';

export interface PeerLinkEvents {
  /** What the nodes at the address are called by now. */
  names(): readonly string[];
  /** The link does nothing any more and may be forgotten. */
  retired(): void;
  /** The peer closed a stream with an error: for the log. */
  failed(error: SluiceError): void;
}

/**
 * One connection to an address, shared by its streams and calls: made when one is wanted, and again when it was lost. It may
 * hang for minutes while it connects to a host that drops packets, or to a process that is frozen: a stream that is not
 * accepted in time therefore retires its link, and the next one begins with a new connection.
 *
 * It is gRPC, spoken over `node:http2` itself. grpc-js copies each message behind its head when it leaves and puts it
 * together anew when it arrives, and makes filters, promises and timers for it, which costs more than everything else
 * about a small one.
 */
export class PeerLink {
  readonly #address: string;
  readonly #tls: TlsFiles | undefined;
  readonly #events: PeerLinkEvents;
  readonly #channels = new Map<OpenedStream, StreamChannel>();
  readonly #calls = new Set<OpenedStream>();
  #connection: PeerConnection | undefined;
  /** The attempt before failed: until then there is no other, and why. */
  #notBeforeMs = 0;
  #whyFailed = '';
  #idleTimer: NodeJS.Timeout | undefined;
  #retired = false;

  constructor(address: string, tls: TlsFiles | undefined, events: PeerLinkEvents) {
    this.#address = address;
    this.#tls = tls;
    this.#events = events;
  }

  /** Undefined when an attempt to connect has failed a moment ago: the next one is a moment later. */
  open({ path, request, response }: ServiceCodecs, metadata: Metadata): StreamChannel | undefined {
    // One timer at a time: until the stream is accepted, then until it is closed.
    let timer: NodeJS.Timeout | undefined;
    const stream = this.#request(path, metadata, {
      accepted: () => {
        channel.isPending = false;
        if (!channel.closed) clearTimeout(timer);
      },
      message: (message) => channel.receive(message),
      ended: (outcome) => {
        clearTimeout(timer);
        this.#channels.delete(opened);
        if (outcome.code === status.OK) {
          channel.peerEnded();
          opened.end();
        } else {
          if (!channel.closed) this.#events.failed(this.#errorFrom(outcome, path));
          channel.lost();
        }
        // What it closes now has no stream left to be timed.
        clearTimeout(timer);
        this.#release();
      },
    });
    if (stream === undefined) return undefined;
    const opened = stream;
    timer = setTimeout(() => {
      this.#retire();
      opened.cancel();
    }, OPENING_TIMEOUT_MS);
    const channel = new StreamChannel(
      {
        write: (frame, flushed) => opened.write(frame, flushed),
        closing: () => {
          clearTimeout(timer);
          timer = setTimeout(() => opened.cancel(), CLOSING_TIMEOUT_MS);
          timer.unref();
        },
        end: () => opened.end(),
        abort: (_reason, detail) => {
          this.#events.failed(peerUnavailable(`${path} of ${this.#address}: ${detail}`));
          opened.cancel();
        },
        pause: () => opened.pause(),
        resume: () => opened.resume(),
      },
      request,
      response,
    );
    channel.isPending = true;
    this.#channels.set(opened, channel);
    return channel;
  }

  async call({ path, request, response }: ServiceCodecs, metadata: Metadata, message: unknown): Promise<unknown> {
    const bytes = encode(request, message);
    const asked = metadata.clone();
    asked.set('grpc-timeout', `${CALL_TIMEOUT_MS}m`);
    const answer = await new Promise<Uint8Array>((resolve, reject) => {
      let answered: Uint8Array | undefined;
      let timer: NodeJS.Timeout | undefined;
      const stream = this.#request(path, asked, {
        accepted: () => {},
        message: (received) => {
          answered = received;
        },
        ended: (outcome) => {
          clearTimeout(timer);
          this.#calls.delete(opened);
          this.#release();
          if (outcome.code !== status.OK) reject(this.#errorFrom(outcome, path));
          else if (answered === undefined) reject(peerUnavailable(`${path} of ${this.#address}: no answer`));
          else resolve(answered);
        },
      });
      if (stream === undefined) {
        reject(this.#errorFrom(outcomeOf(this.#whyFailed), path));
        return;
      }
      const opened = stream;
      timer = setTimeout(() => {
        this.#retire();
        opened.cancel('no answer in time (ETIMEDOUT)');
      }, CALL_TIMEOUT_MS);
      this.#calls.add(opened);
      opened.writeOnly(bytes);
    });
    return response.read(answer);
  }

  closeChannels(): void {
    for (const channel of [...this.#channels.values()]) channel.close();
  }

  /** Ends every stream and call at once. */
  destroy(): void {
    this.#retire();
    for (const stream of [...this.#channels.keys(), ...this.#calls]) stream.cancel();
    this.#connection?.destroy();
  }

  get streams(): number {
    return this.#channels.size;
  }

  get users(): number {
    return this.#channels.size + this.#calls.size;
  }

  /** Takes nothing new; what it carries goes on. */
  retire(): void {
    this.#retire();
    if (this.users === 0) this.#connection?.close();
  }

  #request(path: string, metadata: Metadata, events: OpenedStreamEvents): OpenedStream | undefined {
    const connection = this.#connected();
    if (connection === undefined) return undefined;
    clearTimeout(this.#idleTimer);
    const stream = connection.request({
      ':method': 'POST',
      ':path': path,
      'content-type': GRPC_CONTENT_TYPE,
      te: 'trailers',
      ...metadata.toHttp2Headers(),
    });
    return new OpenedStream(stream, events, () => connection.whyClosed);
  }

  #connected(): PeerConnection | undefined {
    if (this.#connection?.isOpen) return this.#connection;
    if (performance.now() < this.#notBeforeMs) return undefined;
    if (!isReachable(this.#address)) {
      this.#whyFailed = `${this.#address} is no address that can be connected to`;
      this.#events.failed(new SluiceError('PEER_ADDRESS', this.#whyFailed, { hint: ADDRESS_HINT }));
      return undefined;
    }
    const connection = new PeerConnection(this.#address, this.#events.names(), this.#tls, (stood) => {
      if (!stood) {
        this.#notBeforeMs = performance.now() + RECONNECT_PAUSE_MS;
        this.#whyFailed = connection.whyClosed;
      }
      if (this.#connection === connection) this.#connection = undefined;
    });
    this.#connection = connection;
    return connection;
  }

  #errorFrom(outcome: StatusObject, path: string): SluiceError {
    return errorFrom(outcome, `${path} of ${this.#address}`, this.#tls !== undefined);
  }

  #release(): void {
    if (this.users > 0) return;
    if (this.#retired) {
      this.#connection?.close();
      return;
    }
    this.#idleTimer = setTimeout(() => this.retire(), LINK_IDLE_MS);
    this.#idleTimer.unref();
  }

  #retire(): void {
    clearTimeout(this.#idleTimer);
    if (this.#retired) return;
    this.#retired = true;
    this.#events.retired();
  }
}

const ADDRESS_HINT = 'correct node.advertise of the node that gave it, and restart that one; it takes HOST:PORT';

function outcomeOf(details: string): StatusObject {
  return { code: status.UNAVAILABLE, details, metadata: new Metadata() };
}
