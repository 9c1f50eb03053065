import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import {
  type AckPacket,
  type Packet,
  PacketType,
  type Properties,
  type ProtocolVersion,
  type PublishPacket,
  type QoS,
  type Subscription,
  type Will,
} from '@sluice/mqtt/codec/packet';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { SimWorld } from '../sim-world.ts';
import type { SimSocket, SocketClient } from './sim-socket.ts';

/** One network connection of a client, to the gateway as it was when it was made. */
export class MqttConnection implements SocketClient {
  readonly clientId: string;
  readonly gateway: GatewayNode;
  /** The process that it came to. */
  readonly process: string;
  readonly isClean: boolean;
  readonly connectSentMs: number;
  state: 'connecting' | 'open' | 'closed' = 'connecting';
  wasOpen = false;
  /** It ended by a DISCONNECT of the client, behind all that was acknowledged. */
  leftPolitely = false;
  isEndedByClient = false;
  readonly #version: ProtocolVersion;
  readonly #world: SimWorld;
  readonly #listener: ConnectionListener;
  readonly #socket: SimSocket | undefined;
  #decoder = new Decoder({ maximumPacketSizeBytes: 1024 * 1024, role: 'client' });
  #nextPacketId = 1;
  /** Nothing came since the last look. */
  #isSilent = false;

  static readonly KEEP_ALIVE_S = 6;

  constructor(options: {
    world: SimWorld;
    gateway: GatewayNode;
    clientId: string;
    isClean: boolean;
    expiryS: number;
    receiveMaximum: number;
    listener: ConnectionListener;
    /** 5 unless it is said; 3.1.1 has no expiry and no Receive Maximum. */
    version?: ProtocolVersion;
    will?: Will | undefined;
    /** Of MQTT 5: its client takes no larger packet. */
    maximumPacketSizeBytes?: number | undefined;
  }) {
    const {
      world,
      gateway,
      clientId,
      isClean,
      expiryS,
      receiveMaximum,
      version = 5,
      will,
      maximumPacketSizeBytes,
    } = options;
    const sized = maximumPacketSizeBytes === undefined ? {} : { maximumPacketSizeBytes };
    if (maximumPacketSizeBytes !== undefined) this.#decoder = new Decoder({ maximumPacketSizeBytes, role: 'client' });
    this.#version = version;
    this.#world = world;
    this.gateway = gateway;
    this.process = gateway.life.name;
    this.clientId = clientId;
    this.isClean = isClean;
    this.#listener = options.listener;
    this.connectSentMs = world.nowMs;
    this.#decoder.protocolVersion = version;
    this.#socket = gateway.mqtt?.connect(clientId, this);
    if (this.#socket === undefined) {
      world.after(1, world.outside, () => this.closed());
      return;
    }
    this.#send({
      type: PacketType.CONNECT,
      protocolVersion: version,
      clientId,
      cleanStart: isClean,
      keepAliveS: MqttConnection.KEEP_ALIVE_S,
      ...(version === 5 ? { properties: { sessionExpiryIntervalS: expiryS, receiveMaximum, ...sized } } : {}),
      ...(will === undefined ? {} : { will }),
    });
    this.#watch();
  }

  subscribe(filter: string, subscriptionId: number, qos: QoS, options: RetainOptions = READ_ALWAYS): number {
    const packetId = this.#packetId();
    this.#send({
      type: PacketType.SUBSCRIBE,
      packetId,
      subscriptions: [{ filter, qos, noLocal: false, ...options }],
      properties: { subscriptionIdentifiers: [subscriptionId] },
    });
    return packetId;
  }

  unsubscribe(filter: string): number {
    const packetId = this.#packetId();
    this.#send({ type: PacketType.UNSUBSCRIBE, packetId, filters: [filter] });
    return packetId;
  }

  /** `packetId`: it is not in use; with `dup` it was sent before, over another connection. */
  publish(packetId: number, { topic, payload, retain, qos, properties }: OutgoingPublish, dup = false): void {
    this.#send({
      type: PacketType.PUBLISH,
      topic,
      payload,
      qos,
      retain,
      dup,
      packetId,
      ...(properties && { properties }),
    });
  }

  answer(type: AckPacket['type'], packetId: number): void {
    this.#send({ type, packetId, reasonCode: 0 });
  }

  acknowledge(packetId: number): void {
    this.answer(PacketType.PUBACK, packetId);
  }

  /** MQTT 5 alone: it is somebody else's. */
  refuse(packetId: number): void {
    this.#send({ type: PacketType.PUBACK, packetId, reasonCode: 0x80 });
  }

  /** `expiryS`: from now on; undefined: as it said when it came. `reasonCode` 4: its will is to be published. */
  leave(expiryS?: number, reasonCode: 0 | 4 = 0): void {
    if (this.state === 'closed') return;
    this.leftPolitely = this.state === 'open';
    const properties = expiryS === undefined ? undefined : { sessionExpiryIntervalS: expiryS };
    this.#send({ type: PacketType.DISCONNECT, reasonCode, properties });
    this.#over(true);
    this.#socket?.close();
  }

  reset(): void {
    if (this.state === 'closed') return;
    this.#over(true);
    this.#socket?.close();
  }

  /** The gateway is told nothing. */
  vanish(): void {
    if (this.state === 'closed') return;
    this.#over(true);
    this.#socket?.vanish();
  }

  bytes(chunk: Uint8Array): void {
    if (this.state === 'closed') return;
    this.#isSilent = false;
    this.#decoder.push(chunk);
    for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
      this.#received(packet);
      if ((this.state as string) === 'closed') return;
    }
  }

  closed(): void {
    if (this.state !== 'closed') this.#over(false);
  }

  #received(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode !== 0) return;
        this.state = 'open';
        this.wasOpen = true;
        this.#listener.connected(this, packet.sessionPresent);
        return;
      case PacketType.SUBACK:
        this.#listener.subscribed?.(this, packet.packetId, packet.reasonCodes[0] as number);
        return;
      case PacketType.UNSUBACK:
        this.#listener.unsubscribed?.(this, packet.packetId);
        return;
      case PacketType.PUBACK:
      case PacketType.PUBREC:
        this.#listener.published?.(this, packet.packetId, packet.reasonCode);
        return;
      case PacketType.PUBCOMP:
        this.#listener.completed?.(this, packet.packetId);
        return;
      case PacketType.PUBREL:
        this.#listener.released?.(this, packet.packetId);
        return;
      case PacketType.PUBLISH:
        this.#listener.message?.(this, packet);
        return;
    }
  }

  #send(packet: Packet): void {
    if (this.state !== 'closed') this.#socket?.send(encode(packet, this.#version));
  }

  #over(isByClient: boolean): void {
    this.state = 'closed';
    this.isEndedByClient = isByClient;
    this.#listener.ended(this);
  }

  /** Asks whether the gateway is there; one that has not answered by the next time is not. */
  #watch(): void {
    this.#world.after((MqttConnection.KEEP_ALIVE_S * 1_000) / 2, this.#world.outside, () => {
      if (this.state === 'closed') return;
      if (this.#isSilent) {
        this.reset();
        return;
      }
      this.#isSilent = true;
      if (this.state === 'open') this.#send({ type: PacketType.PINGREQ });
      this.#watch();
    });
  }

  #packetId(): number {
    const packetId = this.#nextPacketId;
    this.#nextPacketId = (packetId % 65_535) + 1;
    return packetId;
  }
}

export interface OutgoingPublish {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  readonly qos: QoS;
  readonly properties?: Properties;
}

export type RetainOptions = Pick<Subscription, 'retainAsPublished' | 'retainHandling'>;

const READ_ALWAYS: RetainOptions = { retainAsPublished: false, retainHandling: 0 };

export interface ConnectionListener {
  connected(connection: MqttConnection, isPresent: boolean): void;
  subscribed?(connection: MqttConnection, packetId: number, reasonCode: number): void;
  unsubscribed?(connection: MqttConnection, packetId: number): void;
  /** PUBACK or PUBREC. */
  published?(connection: MqttConnection, packetId: number, reasonCode: number): void;
  completed?(connection: MqttConnection, packetId: number): void;
  released?(connection: MqttConnection, packetId: number): void;
  message?(connection: MqttConnection, packet: PublishPacket): void;
  /** Whoever ended it; the last call. */
  ended(connection: MqttConnection): void;
}
