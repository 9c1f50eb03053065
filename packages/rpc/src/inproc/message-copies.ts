import type { CallService, ChannelService } from '../transport.ts';
import { type Codec, encode } from '../wire/codec.ts';
import { CALL_CODECS, CHANNEL_CODECS, type ServiceCodecs } from '../wire/codecs.ts';

/** What the other side gets for a message, in each direction of a service. */
export interface Copies {
  request(message: unknown): unknown;
  response(message: unknown): unknown;
}

const same: Copies = { request: (message) => message, response: (message) => message };

/** With `isolate`, a message arrives as it would from another node: encoded and decoded. */
export function copiesOfChannel(service: ChannelService, isolate: boolean): Copies {
  return isolate ? copies(CHANNEL_CODECS[service]) : same;
}

export function copiesOfCall(service: CallService, isolate: boolean): Copies {
  return isolate ? copies(CALL_CODECS[service]) : same;
}

function copies({ request, response }: ServiceCodecs): Copies {
  return { request: (message) => copy(request, message), response: (message) => copy(response, message) };
}

function copy(codec: Codec<unknown>, message: unknown): unknown {
  return codec.read(encode(codec, message));
}
