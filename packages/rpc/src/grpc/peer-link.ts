import { checkServerIdentity, createSecureContext } from 'node:tls';
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  credentials,
  type Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type { SluiceError } from '@sluice/common/errors';
import { encode } from '../wire/codec.ts';
import type { ServiceCodecs } from '../wire/codecs.ts';
import type { Frame } from '../wire/frame.ts';
import { errorFrom, peerUnavailable } from './call-error.ts';
import { hostOf } from './certificate-names.ts';
import {
  CALL_TIMEOUT_MS,
  CLOSING_TIMEOUT_MS,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  LINK_IDLE_MS,
  MESSAGE_BYTES_MAX,
  OPENING_TIMEOUT_MS,
  RECONNECT_MAX_MS,
  RECONNECT_MIN_MS,
  WINDOW_BYTES,
} from './limits.ts';
import { asBuffer, asBytes, frameAsBuffer } from './serializers.ts';
import { StreamChannel } from './stream-channel.ts';
import type { TlsFiles } from './tls-files.ts';

const OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.initial_reconnect_backoff_ms': RECONNECT_MIN_MS,
  'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
  'grpc.dns_min_time_between_resolutions_ms': RECONNECT_MAX_MS,
  // Links to one node must not share a connection: that is what they are for.
  'grpc.use_local_subchannel_pool': 1,
  // Retries keep every message they sent, and call it written when it is only kept: `unsentBytes` would lie.
  'grpc.enable_retries': 0,
  'grpc.retry_buffer_size': 0,
  'grpc.per_rpc_retry_buffer_size': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc-node.flow_control_window': WINDOW_BYTES,
};

/** Sent in place of the host, which may be an address: TLS knows no addresses there, and nobody here looks at it. */
const TLS_OPTIONS: ChannelOptions = { ...OPTIONS, 'grpc.ssl_target_name_override': 'node' };

function credentialsOf(tls: TlsFiles, host: string): ChannelCredentials {
  return credentials.createFromSecureContext(createSecureContext({ ...tls, minVersion: 'TLSv1.3' }), {
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  });
}

export interface PeerLinkEvents {
  /** The link does nothing any more and may be forgotten. */
  retired(): void;
  /** The peer closed a stream with an error: for the log. */
  failed(error: SluiceError): void;
}

/**
 * One connection to an address, shared by its streams and calls; gRPC connects when one is wanted, and again when it
 * was lost. It may hang for minutes while it connects to a host that drops packets, or to a process that is frozen: a
 * stream that is not accepted in time therefore retires its link, and the next one begins with a new connection.
 */
export class PeerLink {
  readonly #address: string;
  readonly #client: Client;
  readonly #usesTls: boolean;
  readonly #events: PeerLinkEvents;
  readonly #streams = new Map<ClientDuplexStream<Frame, Uint8Array>, StreamChannel>();
  readonly #calls = new Set<ClientUnaryCall>();
  #users = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #retired = false;

  constructor(address: string, tls: TlsFiles | undefined, events: PeerLinkEvents) {
    this.#address = address;
    this.#events = events;
    this.#usesTls = tls !== undefined;
    this.#client =
      tls === undefined
        ? new Client(`dns:${address}`, credentials.createInsecure(), OPTIONS)
        : new Client(`dns:${address}`, credentialsOf(tls, hostOf(address)), TLS_OPTIONS);
  }

  open({ path, request, response }: ServiceCodecs, metadata: Metadata): StreamChannel {
    this.#use();
    const stream = this.#client.makeBidiStreamRequest<Frame, Uint8Array>(path, frameAsBuffer, asBytes, metadata);
    // One timer at a time: until the stream is accepted, then until it is closed.
    let timer = setTimeout(() => {
      this.#retire();
      stream.cancel();
    }, OPENING_TIMEOUT_MS);
    const channel = new StreamChannel(
      {
        write: (frame, flushed) => stream.write(frame, flushed),
        closing: () => {
          clearTimeout(timer);
          timer = setTimeout(() => stream.cancel(), CLOSING_TIMEOUT_MS);
          timer.unref();
        },
        end: () => stream.end(),
        abort: (_reason, detail) => {
          this.#events.failed(peerUnavailable(`${path} of ${this.#address}: ${detail}`));
          stream.cancel();
        },
        pause: () => stream.pause(),
        resume: () => stream.resume(),
      },
      request,
      response,
    );
    this.#streams.set(stream, channel);
    stream.on('metadata', () => {
      if (!channel.closed) clearTimeout(timer);
    });
    stream.on('data', (frame: Uint8Array) => channel.receive(frame));
    // Every error is followed by its status.
    stream.on('error', () => {});
    stream.on('status', (outcome: StatusObject) => {
      clearTimeout(timer);
      this.#streams.delete(stream);
      if (outcome.code === status.OK) {
        channel.peerEnded();
        stream.end();
      } else {
        if (!channel.closed) this.#events.failed(errorFrom(outcome, `${path} of ${this.#address}`, this.#usesTls));
        channel.lost();
      }
      // What it closes now has no stream left to be timed.
      clearTimeout(timer);
      this.#release();
    });
    return channel;
  }

  async call({ path, request, response }: ServiceCodecs, metadata: Metadata, message: unknown): Promise<unknown> {
    const bytes = encode(request, message);
    const what = `${path} of ${this.#address}`;
    this.#use();
    try {
      const answer = await new Promise<Uint8Array>((resolve, reject) => {
        const deadline = Date.now() + CALL_TIMEOUT_MS;
        const made = this.#client.makeUnaryRequest(
          path,
          asBuffer,
          asBytes,
          bytes,
          metadata,
          { deadline },
          (error, value) => {
            this.#calls.delete(made);
            if (error === null && value !== undefined) resolve(value);
            else reject(error === null ? peerUnavailable(`${what}: no answer`) : errorFrom(error, what, this.#usesTls));
            if (error?.code === status.DEADLINE_EXCEEDED) this.#retire();
          },
        );
        this.#calls.add(made);
      });
      return response.read(answer);
    } finally {
      this.#release();
    }
  }

  closeChannels(): void {
    for (const channel of [...this.#streams.values()]) channel.close();
  }

  /** Ends every stream and call at once. */
  destroy(): void {
    this.#retire();
    for (const stream of [...this.#streams.keys()]) stream.cancel();
    for (const call of [...this.#calls]) call.cancel();
    this.#client.close();
  }

  get streams(): number {
    return this.#streams.size;
  }

  get users(): number {
    return this.#users;
  }

  #use(): void {
    this.#users++;
    clearTimeout(this.#idleTimer);
  }

  #release(): void {
    if (--this.#users > 0) return;
    if (this.#retired) {
      this.#client.close();
      return;
    }
    this.#idleTimer = setTimeout(() => {
      this.#retire();
      this.#client.close();
    }, LINK_IDLE_MS);
    this.#idleTimer.unref();
  }

  /** Takes nothing new; what it carries goes on. */
  retire(): void {
    this.#retire();
    if (this.#users === 0) this.#client.close();
  }

  #retire(): void {
    clearTimeout(this.#idleTimer);
    if (this.#retired) return;
    this.#retired = true;
    this.#events.retired();
  }
}
