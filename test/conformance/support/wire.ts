import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { hashPassword } from '@sluice/gateway/auth/password-hash';
import { makeScramVerifier } from '@sluice/gateway/auth/scram-verifier';
import { type Packet, PacketType, type Properties, type ProtocolVersion, type QoS } from '@sluice/mqtt/codec/packet';
import { parser } from 'mqtt-packet';
import { bytesOf } from '../../../packages/mqtt/test/codec/packet-notation.ts';
import { type Broker, startBroker } from '../../e2e/support/broker.ts';
import type { Address, ListenerName } from '../../harness/server-process.ts';
import { RawClient, type Transport } from '../../hostile/raw-client.ts';

/** What a client says of itself; the rest is a clean start without a keep-alive. */
export interface Hello {
  version?: ProtocolVersion;
  clientId?: string;
  clean?: boolean;
  keepAliveS?: number;
  will?: { topic: string; payload?: string; qos?: QoS; retain?: boolean; properties?: Properties };
  username?: string;
  password?: string;
  properties?: Properties;
  /** On the gateway where this client is, not on one by chance. */
  near?: WireClient;
}

export interface Options {
  qos?: QoS;
  noLocal?: boolean;
  retainAsPublished?: boolean;
  retainHandling?: 0 | 1 | 2;
  identifier?: number;
}

export interface Message {
  qos?: QoS;
  retain?: boolean;
  dup?: boolean;
  packetId?: number;
  properties?: Properties;
}

type PacketOf<T extends PacketType> = Packet & { type: T };

/**
 * The broker under test and its clients, spoken to packet by packet. One broker serves all cases: names are drawn, so that
 * no case meets another. `SLUICE_E2E` makes it a cluster, where each client is sent to a gateway by chance;
 * `SLUICE_TRANSPORT` says how clients speak: tcp (as long as nothing is said), ws, tls or wss.
 */
export class Wire {
  readonly broker: Broker;
  readonly transport: Transport;
  readonly #open = new Set<WireClient>();
  #names = 0;

  private constructor(broker: Broker, transport: Transport) {
    this.broker = broker;
    this.transport = transport;
  }

  static async start(): Promise<Wire> {
    const transport = (process.env.SLUICE_TRANSPORT || 'tcp') as Transport;
    if (LISTENERS[transport] === undefined)
      throw new Error(`SLUICE_TRANSPORT is tcp, ws, tls or wss, not ${transport}`);
    const isSecure = transport === 'tls' || transport === 'wss';
    const flags = [...FLAGS, ...(await userFlags()), ...(isSecure ? tlsFlags() : [])];
    return new Wire(await startBroker({ flags }), transport);
  }

  async dispose(): Promise<void> {
    this.hangUp();
    await this.broker.dispose();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  }

  hangUp(): void {
    for (const client of this.#open) client.raw.destroy();
    this.#open.clear();
  }

  /** A topic, or a client identifier, that nobody else has. */
  name(): string {
    return `t${++this.#names}`;
  }

  /** A connection before its CONNECT. */
  async open(near?: WireClient, transport = this.transport): Promise<WireClient> {
    const address = near?.address ?? this.broker.address(LISTENERS[transport]);
    const client = new WireClient(await RawClient.open(address, transport), address, this);
    this.#open.add(client);
    return client;
  }

  /** A client that was let in. */
  async client(hello: Hello = {}): Promise<WireClient> {
    const client = await this.open(hello.near);
    const connack = await client.connect(hello);
    expect(connack.reasonCode).toBe(0);
    return client;
  }
}

/**
 * One connection. Packets are taken in their order, or by their type where it does not matter what else came before.
 * Everything that arrives is read by mqtt-packet as well: a broker and a test that share a codec would share its errors.
 */
export class WireClient {
  readonly raw: RawClient;
  readonly address: Address;
  readonly #wire: Wire;
  readonly #seen: string[] = [];
  clientId = '';
  #packetId = 0;

  constructor(raw: RawClient, address: Address, wire: Wire) {
    this.raw = raw;
    this.address = address;
    this.#wire = wire;
    let oracle: ReturnType<typeof parser> | undefined;
    raw.tap = (bytes) => {
      if (oracle === undefined) {
        oracle = parser({ protocolVersion: raw.version });
        oracle.on('packet', (packet) => this.#seen.push(packet.cmd));
        oracle.on('error', (error) => this.#seen.push(`error: ${error.message}`));
      }
      oracle.parse(Buffer.from(bytes));
    };
  }

  get version(): ProtocolVersion {
    return this.raw.version;
  }

  /** CONNECT alone. */
  hello(hello: Hello = {}): void {
    const { version = 5, clientId = this.#wire.name(), clean = true, keepAliveS = 0, will, properties } = hello;
    this.clientId = clientId;
    this.raw.version = version;
    this.send({
      type: PacketType.CONNECT,
      protocolVersion: version,
      clientId,
      cleanStart: clean,
      keepAliveS,
      ...(hello.username === undefined ? {} : { username: hello.username }),
      ...(hello.password === undefined ? {} : { password: Buffer.from(hello.password) }),
      ...(properties === undefined ? {} : { properties }),
      ...(will === undefined
        ? {}
        : { will: { qos: 0, retain: false, ...will, payload: Buffer.from(will.payload ?? 'will') } }),
    });
  }

  async connect(hello: Hello = {}): Promise<PacketOf<2>> {
    this.hello(hello);
    const connack = await this.take(PacketType.CONNACK);
    if (this.clientId === '') this.clientId = connack.properties?.assignedClientIdentifier ?? '';
    return connack;
  }

  send(packet: Packet): void {
    this.raw.send(packet);
  }

  /** Bytes, in the notation of the codec's tables: `30 { <topic> 00 }`. */
  write(notation: string): void {
    this.raw.write(bytesOf(notation));
  }

  /** The next packet, whatever it is. */
  async next(): Promise<Packet> {
    const packet = await this.raw.next();
    this.#agree();
    return packet;
  }

  /** The next packet of this type, with this identifier if one is asked for; what came before it stays. */
  async take<T extends PacketType>(type: T, packetId?: number): Promise<PacketOf<T>> {
    const isIt = (packet: Packet): boolean =>
      packet.type === type && (packetId === undefined || (packet as { packetId?: number }).packetId === packetId);
    const find = (): number => this.raw.packets.findIndex(isIt);
    await this.raw.until(`packet type ${type}`, () => find() >= 0 || this.raw.closed);
    if (find() < 0) throw new Error(`closed without a packet of type ${type}`);
    this.#agree();
    return this.raw.packets.splice(find(), 1)[0] as PacketOf<T>;
  }

  #agree(): void {
    const wrong = this.#seen.find((what) => what.startsWith('error'));
    if (wrong !== undefined) throw new Error(`mqtt-packet cannot read what the broker sent: ${wrong}`);
  }

  async subscribe(filter: string | string[], options: Options = {}): Promise<PacketOf<9>> {
    const { qos = 2, noLocal = false, retainAsPublished = false, retainHandling = 0, identifier } = options;
    const packetId = ++this.#packetId;
    this.send({
      type: PacketType.SUBSCRIBE,
      packetId,
      subscriptions: [filter].flat().map((one) => ({ filter: one, qos, noLocal, retainAsPublished, retainHandling })),
      ...(identifier === undefined ? {} : { properties: { subscriptionIdentifiers: [identifier] } }),
    });
    const suback = await this.take(PacketType.SUBACK);
    expect(suback.packetId).toBe(packetId);
    return suback;
  }

  async unsubscribe(...filters: string[]): Promise<PacketOf<11>> {
    const packetId = ++this.#packetId;
    this.send({ type: PacketType.UNSUBSCRIBE, packetId, filters });
    const unsuback = await this.take(PacketType.UNSUBACK);
    expect(unsuback.packetId).toBe(packetId);
    return unsuback;
  }

  /** Publishes, and finishes the exchange. The answer's reason code: of PUBACK or PUBREC, 0 at QoS 0. */
  async publish(topic: string, payload = '', message: Message = {}): Promise<number> {
    const packetId = this.sendPublish(topic, payload, message);
    if (packetId === 0) return 0;
    const answer = await this.take(message.qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId);
    if (message.qos === 2 && answer.reasonCode < 0x80) {
      this.send({ type: PacketType.PUBREL, packetId, reasonCode: 0 });
      await this.take(PacketType.PUBCOMP, packetId);
    }
    return answer.reasonCode;
  }

  /** The packet identifier. */
  sendPublish(topic: string, payload = '', message: Message = {}): number {
    const { qos = 0, retain = false, dup = false, properties } = message;
    const packetId = qos === 0 ? 0 : (message.packetId ?? ++this.#packetId);
    const bytes = Buffer.from(payload);
    this.send({ type: PacketType.PUBLISH, topic, payload: bytes, qos, retain, dup, packetId, properties });
    return packetId;
  }

  /** The next delivery, acknowledged to its end. */
  async delivery(): Promise<Delivered> {
    const packet = await this.take(PacketType.PUBLISH);
    if (packet.qos === 1) this.send({ type: PacketType.PUBACK, packetId: packet.packetId, reasonCode: 0 });
    if (packet.qos === 2) {
      this.send({ type: PacketType.PUBREC, packetId: packet.packetId, reasonCode: 0 });
      expect((await this.take(PacketType.PUBREL)).packetId).toBe(packet.packetId);
      this.send({ type: PacketType.PUBCOMP, packetId: packet.packetId, reasonCode: 0 });
    }
    return delivered(packet);
  }

  /** The next delivery, unanswered. */
  async held(): Promise<Delivered> {
    return delivered(await this.take(PacketType.PUBLISH));
  }

  /** What `from` published before now and this client was sent of it: a last message shows where it ends. */
  async settled(from: WireClient): Promise<Packet[]> {
    const last = `${this.#wire.name()}/last`;
    await this.subscribe(last, { qos: 0 });
    from.sendPublish(last);
    const isLast = (packet: Packet): boolean => packet.type === PacketType.PUBLISH && packet.topic === last;
    await this.raw.until('the last message', () => this.raw.packets.some(isLast));
    return this.raw.packets.splice(0).filter((packet) => !isLast(packet));
  }

  async ping(): Promise<void> {
    this.send({ type: PacketType.PINGREQ });
    await this.take(PacketType.PINGRESP);
  }

  /** The server's last words, if there are any, and that the connection ends with them. */
  async ended(): Promise<Packet[]> {
    await this.raw.untilClosed();
    return this.raw.packets.splice(0);
  }

  /** As told in MQTT 5, by a DISCONNECT alone; in silence before. */
  async refused(reasonCode: number): Promise<void> {
    const words = (await this.ended()).map(({ type, ...packet }) => [
      type,
      (packet as { reasonCode?: number }).reasonCode,
    ]);
    expect(words).toEqual(this.version === 5 ? [[PacketType.DISCONNECT, reasonCode]] : []);
  }

  /** DISCONNECT, and the end of the connection. */
  async bye(reasonCode = 0, properties?: Properties): Promise<void> {
    this.send({ type: PacketType.DISCONNECT, reasonCode, ...(properties === undefined ? {} : { properties }) });
    this.raw.socket.end();
    await this.raw.untilClosed();
  }

  /** As a machine that loses its power. */
  drop(): void {
    // Below TLS there is a socket that is not ours to reset: it just goes.
    if (this.raw.transport === 'tls' || this.raw.transport === 'wss') this.raw.destroy();
    else this.raw.socket.resetAndDestroy();
  }
}

export interface Delivered {
  topic: string;
  payload: string;
  qos: QoS;
  retain: boolean;
  dup: boolean;
  packetId: number;
  properties: Properties;
}

function delivered(packet: PacketOf<3>): Delivered {
  const { topic, qos, retain, dup, packetId, properties = {} } = packet;
  return { topic, payload: Buffer.from(packet.payload).toString(), qos, retain, dup, packetId, properties };
}

const LISTENERS: Record<Transport, ListenerName> = { tcp: 'mqtt', ws: 'ws', tls: 'mqtts', wss: 'wss' };

const folders: string[] = [];

/** Removed with the broker. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-conformance-'));
  folders.push(folder);
  return folder;
}

/** A user whom SCRAM can prove; everybody else may do everything as well. */
export const USER = { username: 'scrammer', password: 'pencil' };
async function userFlags(): Promise<string[]> {
  const file = join(temporaryFolder(), 'users');
  const secrets = [await hashPassword(USER.password), await makeScramVerifier(USER.password)];
  writeFileSync(file, `${USER.username}:${secrets.join(' ')}\n`, { mode: 0o600 });
  return [
    ['--set', `auth.passwordFile=${file}`],
    ['--set', 'auth.anonymous=true'],
    ['--set', 'authorization.noMatch=allow'],
  ].flat();
}

/** Both TLS listeners, with a certificate made for this run. */
function tlsFlags(): string[] {
  const folder = temporaryFolder();
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const made = ['req', '-x509', ...kind, '-keyout', key, '-out', certificate, '-days', '2', '-subj', '/CN=localhost'];
  execFileSync('openssl', made, { stdio: 'ignore' });
  return [
    ['--mqtts', '127.0.0.1:0', '--wss', '127.0.0.1:0'],
    ['--set', `tls.certificateFile=${certificate}`],
    ['--set', `tls.keyFile=${key}`],
  ].flat();
}

/** Everything that a broker may do when it is asked to. */
const FLAGS = [
  ['--ws', '127.0.0.1:0'],
  ['--set', 'mqtt.validatePayloadFormat=true'],
  ['--set', 'mqtt.systemInterval=1s'],
  ['--set', 'mqtt.responseInformation=answers/here/'],
].flat();

let shared: Wire | undefined;

/** The broker of this run. */
export function wire(): Wire {
  if (shared === undefined) throw new Error('suite.test.ts starts it');
  return shared;
}

export function share(started: Wire): void {
  shared = started;
}
