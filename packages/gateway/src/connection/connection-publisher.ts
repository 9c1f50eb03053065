import type { ConnectPacket } from '@sluice/mqtt/codec/packet';
import type { Publisher } from '../publish/durable-publish.ts';
import type { ByteChannel } from './byte-channel.ts';

/** What key expressions and records may know of the connection that publishes. */
export class ConnectionPublisher implements Publisher {
  readonly #channel: Pick<ByteChannel, 'peerHost' | 'peerName'>;
  clientId = '';
  username: string | undefined = undefined;
  protocolVersion: 4 | 5 = 4;

  constructor(channel: Pick<ByteChannel, 'peerHost' | 'peerName'>) {
    this.#channel = channel;
  }

  get peerHost(): string {
    return this.#channel.peerHost;
  }
  get peerName(): string {
    return this.#channel.peerName;
  }

  identify(clientId: string, packet: ConnectPacket): void {
    this.clientId = clientId;
    this.username = packet.username;
    this.protocolVersion = packet.protocolVersion;
  }
}
