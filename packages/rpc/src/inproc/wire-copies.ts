import { type Codec, encode } from '../wire/codec.ts';
import { CALL_CODECS, CHANNEL_CODECS, type ServiceCodecs } from '../wire/codecs.ts';
import type { Copies, MessageCopies } from './message-copies.ts';

/**
 * A message arrives as it would from another node, encoded and decoded: for tests and the simulator. A file of its own,
 * since a node that is alone has no use for the wire's formats and starts without them.
 */
export const WIRE_COPIES: MessageCopies = {
  channel: (service) => copies(CHANNEL_CODECS[service]),
  call: (service) => copies(CALL_CODECS[service]),
};

function copies({ request, response }: ServiceCodecs): Copies {
  return { request: (message) => copy(request, message), response: (message) => copy(response, message) };
}

function copy(codec: Codec<unknown>, message: unknown): unknown {
  return codec.read(encode(codec, message));
}
