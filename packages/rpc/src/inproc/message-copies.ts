import type { CallService, ChannelService } from '../transport.ts';

/** What the other side gets for a message, in each direction of a service. */
export interface Copies {
  request(message: unknown): unknown;
  response(message: unknown): unknown;
}

/** How messages get from one side to the other within a process. */
export interface MessageCopies {
  channel(service: ChannelService): Copies;
  call(service: CallService): Copies;
}

const same: Copies = { request: (message) => message, response: (message) => message };

/** The message itself: nothing is copied for the sake of a boundary. */
export const REFERENCES: MessageCopies = { channel: () => same, call: () => same };
