import type { ConnectPacket } from '@sluice/mqtt/codec/packet';
import type { Publisher } from '../publish/durable-publish.ts';

/** What key expressions and records may know of the connection that publishes. */
export class ConnectionPublisher implements Publisher {
  readonly peerHost: string;
  readonly peerName: string;
  clientId = '';
  username: string | undefined = undefined;
  protocolVersion: 4 | 5 = 4;

  constructor(peerHost: string, peerName: string) {
    this.peerHost = peerHost;
    this.peerName = peerName;
  }

  identify(clientId: string, packet: ConnectPacket): void {
    this.clientId = clientId;
    this.username = packet.username;
    this.protocolVersion = packet.protocolVersion;
  }
}
