import type { CallService, ChannelService } from '@sluice/rpc/transport';
import { encode } from '@sluice/rpc/wire/codec';
import { CALL_CODECS, CHANNEL_CODECS } from '@sluice/rpc/wire/codecs';
import { Violation } from './simulation.ts';

/** What a message becomes on its way; `bytes` of it count against who may send how much. */
export interface Wire {
  carry(
    service: ChannelService | CallService,
    direction: Direction,
    message: unknown,
  ): { message: unknown; bytes: number };
}

/** From who opened the channel or asks, and back. */
export type Direction = 'request' | 'response';

/**
 * Every message is encoded and decoded as between real nodes: no two nodes share an object, and what a codec loses is
 * lost. It would show as the strangest behaviour somewhere, sometime; so what arrives is compared with what was sent, the
 * first messages of every kind and then some of each, because comparing costs more than coding.
 */
export class SimWire implements Wire {
  readonly #seen = new Map<string, number>();

  static readonly FIRST_COMPARED = 20;
  static readonly COMPARED_ONE_IN = 32;

  carry(
    service: ChannelService | CallService,
    direction: Direction,
    message: unknown,
  ): { message: unknown; bytes: number } {
    const codec = codecsOf(service)[direction];
    const bytes = encode(codec, message);
    const arrived = codec.read(bytes);
    const kind = `${service} ${direction} ${(message as { type?: unknown }).type ?? ''}`;
    const seen = (this.#seen.get(kind) ?? 0) + 1;
    this.#seen.set(kind, seen);
    if (seen <= SimWire.FIRST_COMPARED || seen % SimWire.COMPARED_ONE_IN === 0) {
      const difference = differenceOf(message, arrived, kind);
      if (difference !== undefined) throw new Violation('wire', difference);
    }
    return { message: arrived, bytes: bytes.length };
  }
}

function codecsOf(service: ChannelService | CallService) {
  return service in CALL_CODECS ? CALL_CODECS[service as CallService] : CHANNEL_CODECS[service as ChannelService];
}

/** Where they first differ. A field that is absent and one that is undefined say the same. */
export function differenceOf(sent: unknown, arrived: unknown, path: string): string | undefined {
  if (Object.is(sent, arrived)) return undefined;
  if (sent instanceof Uint8Array && arrived instanceof Uint8Array) {
    const isSame = Buffer.compare(sent, arrived) === 0;
    return isSame ? undefined : `${path}: ${sent.length} bytes were sent, ${arrived.length} others arrived`;
  }
  if (typeof sent !== 'object' || typeof arrived !== 'object' || sent === null || arrived === null) {
    return `${path}: ${shown(sent)} was sent, ${shown(arrived)} arrived`;
  }
  if (Array.isArray(sent) !== Array.isArray(arrived)) return `${path}: a list on one side only`;
  const [left, right] = [sent as Record<string, unknown>, arrived as Record<string, unknown>];
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const difference = differenceOf(left[key], right[key], `${path}.${key}`);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function shown(value: unknown): string {
  return value instanceof Uint8Array ? `${value.length} bytes` : (JSON.stringify(value) ?? String(value));
}
