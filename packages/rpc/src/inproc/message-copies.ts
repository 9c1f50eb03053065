import type { CallService, ChannelService } from '../transport.ts';

export interface Copies {
  request(message: unknown): unknown;
  response(message: unknown): unknown;
}

const same: Copies = { request: (message) => message, response: (message) => message };
const cloned: Copies = { request: structuredClone, response: structuredClone };

export function copiesOfChannel(_service: ChannelService, isolate: boolean): Copies {
  return isolate ? cloned : same;
}

export function copiesOfCall(_service: CallService, isolate: boolean): Copies {
  return isolate ? cloned : same;
}
