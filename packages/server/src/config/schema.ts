import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { auth, authorization, jwt } from './access-schema.ts';
import { sessions } from './session-schema.ts';
import {
  address,
  addresses,
  choice,
  choices,
  directory,
  duration,
  file,
  integer,
  type Leaf,
  size,
  text,
  toggle,
  topic,
  triState,
} from './setting.ts';

/**
 * Every setting of a node, in sections of one level. As YAML: `section:` and `  key: value`; as a variable:
 * `SLUICE_SECTION__KEY` with the key's words in capitals joined by `_`; on the command line: `--set section.key=value`,
 * and a flag of its own for the common ones.
 */
const ROLES = ['gateway', 'store', 'coordinator'] as const;
export type Role = (typeof ROLES)[number];
export const MQTT_LISTENERS = ['mqtt', 'mqtts', 'ws', 'wss'] as const;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const LOG_FORMATS = ['json', 'text'] as const;
export const LOG_VERIFY_MODES = ['tail', 'full'] as const;

const KB = 1024;
const MB = 1024 * KB;
const GB = 1024 * MB;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

const node = {
  roles: choices(ROLES, {
    about: 'What this process does: gateway speaks MQTT, store keeps messages, coordinator keeps the definitions.',
    default: [...ROLES],
    why: 'One process is a complete broker.',
  }),
  dataDirectory: directory({
    default: './data',
    about: 'Where the entry log and the derived state live. One process at a time.',
    why: 'Visible next to where it was started, and not in a temporary directory that a reboot clears.',
  }),
  name: text({
    about: 'What people call this node; unique in the cluster. A new disk under the name of a lost one replaces it.',
    default: '',
    why: 'Empty takes the address other nodes know it by, or the name of the machine.',
  }),
  join: addresses({
    about:
      'gRPC addresses of the coordinators of the cluster, the same list on every node. Those that find their own address in it found the cluster together, once all of them are there.',
    default: [],
    why: 'Empty founds a cluster of its own, which others may join later.',
  }),
  advertise: address({
    about: 'The address at which other nodes reach listeners.grpc of this one.',
    default: 'none',
    why: 'None takes listeners.grpc, or the name of the machine with its port when that is bound to every interface.',
  }),
  advertiseMqtt: address({
    about: 'Where MQTT clients reach this node: told to MQTT 5 clients of a node that drains, as Server Reference.',
    default: 'none',
    why: 'None tells them nothing: they come back through the address they know.',
  }),
  rack: text({
    about:
      'The failure domain of this node, such as a zone: copies of a partition are spread over as many as there are.',
    default: '',
    why: 'Nobody else knows which machines fail together.',
  }),
  leavesOnStop: toggle({
    about:
      'Whether a stop gives the place of this node back, and the next start begins as a new one: for gateways in pods, which have successors and never return.',
    default: false,
    why: 'A node that is only started again is the same as before, and is missed meanwhile.',
  }),
  drainTimeout: duration({
    about: 'How long a stop waits for deliveries in progress and for connections to leave.',
    default: '25s',
    min: 0,
    max: HOUR_MS,
    why: 'Below the 30 seconds after which process managers kill.',
  }),
};

const LOOPBACK_WHY = 'Reachable from this machine only until somebody says who may connect.';

const listeners = {
  mqtt: address({ about: 'MQTT over TCP.', default: '127.0.0.1:1883', why: LOOPBACK_WHY }),
  mqtts: address({ about: 'MQTT over TLS, customarily on 8883.', default: 'none', why: 'It needs a certificate.' }),
  ws: address({ about: 'MQTT over WebSocket, path /mqtt.', default: '127.0.0.1:8083', why: LOOPBACK_WHY }),
  wss: address({
    about: 'MQTT over secure WebSocket, customarily on 8084.',
    default: 'none',
    why: 'It needs a certificate.',
  }),
  http: address({
    about: 'REST API, its documentation, metrics and health.',
    default: '127.0.0.1:18083',
    why: LOOPBACK_WHY,
  }),
  grpc: address({
    about: 'Traffic between nodes.',
    default: 'none',
    why: 'A node with all roles talks to itself in memory.',
  }),
  scaler: address({
    about: 'How many workers the queues need, for KEDA (external scaler, gRPC); figures of queues and nothing else.',
    default: 'none',
    why: 'Who has no autoscaler needs no port for it.',
  }),
};

const tls = {
  certificateFile: file({ about: 'PEM certificate chain for mqtts and wss.', why: 'There is none to assume.' }),
  keyFile: file({ about: 'PEM private key of the certificate.', why: 'There is none to assume.' }),
  clientCaFile: file({
    about: 'PEM certificates of the authorities whose client certificates are required.',
    why: 'Without it clients need no certificate.',
  }),
  clientRevocationFile: file({
    about:
      'PEM revocation lists of those authorities: a client certificate on them, or of an authority without a list that counts, is refused. Read again while the node runs.',
    why: 'Not every authority publishes one.',
  }),
};

const scaler = {
  tls: toggle({
    about: 'Whether listeners.scaler speaks TLS, with the files of tls; tls.clientCaFile is asked for there as well.',
    default: false,
    why: 'KEDA speaks plainly unless enableTLS is set.',
  }),
};

const cluster = {
  replicationFactor: integer({
    about: 'Copies of every message, on as many stores, when the cluster is founded; later it is changed by command.',
    default: 3,
    min: 1,
    max: 7,
    why: 'The smallest number with which one may fail and nothing waits. While there are fewer stores, as many as there are.',
  }),
  replaceAfter: duration({
    about: 'How long a store may be away before its copies are made anew on others.',
    default: '5m',
    min: 10 * SECOND_MS,
    max: 7 * 24 * HOUR_MS,
    why: 'Longer than a restart or a short repair: copying a full disk is worth some patience.',
  }),
  caFile: file({
    about:
      'PEM certificates of the authority that signs the nodes’ certificates: traffic between nodes is then mutual TLS.',
    why: 'There is none to assume.',
  }),
  certificateFile: file({
    about: 'PEM certificate of this node for traffic between nodes.',
    why: 'Needed together with caFile.',
  }),
  keyFile: file({ about: 'PEM private key of that certificate.', why: 'Needed together with caFile.' }),
  insecure: toggle({
    about: 'Whether listeners.grpc may be reached from other machines without certificates.',
    default: false,
    why: 'Whoever reaches it could read and write everything; in a network of their own some allow it.',
  }),
};

const mqtt = {
  maximumPacketSize: size({
    about: 'Largest MQTT packet accepted; announced to MQTT 5 clients.',
    default: '10MB',
    min: KB,
    // A larger one takes a disk and a network longer than a member of a group is waited for, and its group with it.
    max: 100 * MB,
    why: 'Room for images and documents, while a thousand of them at once still fit into memory buffers.',
  }),
  receiveMaximum: integer({
    about: 'QoS 1 and 2 publishes a client may have unacknowledged.',
    default: 65_535,
    min: 1,
    max: 65_535,
    why: 'Common clients do not keep to less and would be disconnected; a client with too many bytes unacknowledged is not read, whatever their number.',
  }),
  topicAliasMaximum: integer({
    about: 'Topic aliases a client may define.',
    default: 32,
    min: 0,
    max: 65_535,
    why: 'Each may hold a topic of 64 KB: 2 MB a connection, where the protocol’s maximum would be 4 GB.',
  }),
  keepAliveMax: duration({
    about: 'Longest keep-alive of MQTT 5 clients; those that ask for more, or for none, are told this one.',
    default: '65535s',
    min: SECOND_MS,
    max: 65_535 * SECOND_MS,
    why: 'The protocol’s own maximum: only a client that wants none gets less, as a peer that vanished would be held for ever.',
  }),
  validatePayloadFormat: toggle({
    about: 'Whether a payload that its publisher calls UTF-8 text is looked at, and refused with 0x99 if it is not.',
    default: false,
    why: 'A walk over every such payload; most publishers that say so are right.',
  }),
  responseInformation: topic({
    about:
      'Response Information told to MQTT 5 clients that ask for it: by custom, the beginning of a topic for answers.',
    default: '',
    why: 'Empty tells nothing: what it means is between the clients and whoever runs them.',
  }),
  systemInterval: duration({
    about: 'How often a node publishes below $SYS/ how it is; 0 for never.',
    default: '60s',
    min: 0,
    max: HOUR_MS,
    why: 'As often as dashboards made for other brokers expect it.',
  }),
  connectTimeout: duration({
    about: 'How long a connection may take to send its CONNECT.',
    default: '10s',
    min: 100,
    max: HOUR_MS,
    why: 'Slow radio links need seconds; a socket that says nothing longer is not a client.',
  }),
  connectionsMax: integer({
    about: 'Connections a gateway accepts; more are closed at once.',
    default: 100_000,
    min: 1,
    max: 10_000_000,
    why: 'About 2 GB of memory when idle; raise the limit of open files with it.',
  }),
  connectionsPerAddress: integer({
    about: 'Connections that one address may have, over all listeners; more are closed at once. 0 for any number.',
    default: 0,
    min: 0,
    max: 10_000_000,
    why: 'Many clients share an address behind a router, and all of them behind a balancer without PROXY protocol.',
  }),
  connectRate: integer({
    about: 'New connections a second, for each listener; more are closed at once. 0 for any number.',
    default: 0,
    min: 0,
    max: 1_000_000,
    why: 'What a machine takes depends on what its clients prove; slow password hashes have a bound of their own.',
  }),
  flappingConnects: integer({
    about: 'Connects of one client id within flappingWindow after which it is banned for flappingBan. 0 for never.',
    default: 0,
    min: 0,
    max: 1_000_000,
    why: 'Whoever has clients that come and go on purpose would lose them.',
  }),
  flappingWindow: duration({
    about: 'The time in which flappingConnects are counted.',
    default: '1m',
    min: SECOND_MS,
    max: HOUR_MS,
    why: 'As in EMQX.',
  }),
  flappingBan: duration({
    about: 'How long such a client is banned, on every node.',
    default: '5m',
    min: SECOND_MS,
    max: 24 * HOUR_MS,
    why: 'As in EMQX.',
  }),
  messageRate: integer({
    about:
      'Messages a second that one client may publish; who is over it is read more slowly, nothing is lost. 0 for any number.',
    default: 0,
    min: 0,
    max: 100_000_000,
    why: 'Queues and the stores behind them have bounds of their own; this one is for clients that are not trusted.',
  }),
  byteRate: size({
    about: 'The same in bytes.',
    default: 0,
    min: 0,
    max: 100 * GB,
    why: 'As for messageRate.',
  }),
  listenerMessageRate: integer({
    about:
      'Messages a second that all clients of a listener may publish together; they are read more slowly then. 0 for any number.',
    default: 0,
    min: 0,
    max: 100_000_000,
    why: 'As for messageRate.',
  }),
  listenerByteRate: size({
    about: 'The same in bytes.',
    default: 0,
    min: 0,
    max: 100 * GB,
    why: 'As for messageRate.',
  }),
  proxyProtocol: choices(MQTT_LISTENERS, {
    about:
      'Listeners that only a balancer reaches, which says by a PROXY protocol header (version 2) whose connection it passes on; without one a connection is closed.',
    default: [],
    min: 0,
    why: 'Whoever may send that header may be anybody.',
  }),
  readInPlace: toggle({
    about:
      'Whether plain TCP sockets are read into memory that is there, large packets to where they belong, which uses internals of Node.js. Off: each read has memory of its own, and nothing else changes.',
    default: true,
    why: 'It is half of the fresh memory of an image, and a sixth of a delivery to one of a thousand consumers. To be switched off if reading is suspected, as on a version of Node.js that is newer than this Sluice.',
  }),
  sendBufferMax: size({
    about: 'Bytes a socket may hold for a slow reader before its QoS 0 messages are dropped and its deliveries wait.',
    default: '1MB',
    min: 64 * KB,
    max: GB,
    why: 'Fills a fast link for several milliseconds; ten thousand stuck readers hold 10 GB at most. One larger message still fits.',
  }),
  liveQueueMax: integer({
    about:
      'QoS 1 and 2 messages that wait per client outside of queues and kept sessions while it is slow, beside 1024 on their way; the newest beyond it are dropped, counted in `sluice_gateway_delivery_dropped_total{reason="queue_full"}`.',
    default: 1_000,
    min: 0,
    max: 1_000_000,
    why: 'What ordinary subscriptions got elsewhere; what must not be lost belongs into a queue.',
  }),
};

const api = {
  keysFile: file({
    about:
      'API keys, key:secret[:role[:scopes]] a line; roles administrator, viewer, publisher. Read again while the node runs.',
    why: 'No default key that everybody knows.',
  }),
  anonymous: triState({
    about: 'Whether the REST API answers without an API key.',
    default: 'auto',
    why: 'auto allows it while no key file is given and the HTTP listener is bound to loopback.',
  }),
};

const queues = {
  lagObjective: duration({
    about:
      'How old a message may become before its consumers count as too slow, in queues without a lag_objective of their own; metrics and alerts go by it.',
    default: '5m',
    min: SECOND_MS,
    max: 365 * 24 * HOUR_MS,
    why: 'Jobs of background workers; nothing is refused or dropped because of it.',
  }),
  maxCount: integer({
    about:
      'Queues that may exist when the cluster is founded; later it is changed by PUT /api/v5/message_queues/config.',
    default: DEFAULT_QUEUE_SUBSYSTEM_CONFIG.queueCountMax,
    min: 1,
    max: 10_000_000,
    why: 'A queue costs a few hundred bytes; the bound stops a script that ran away.',
  }),
  partitions: integer({
    about: 'Partitions of the cluster, chosen once when it is founded; queues are tenants of them.',
    default: 16,
    min: 1,
    max: 4_096,
    why: 'Enough leaders for a dozen machines; each costs little while idle.',
  }),
  publishBuffer: size({
    about: 'Bytes of publishes that may wait for their commit in a gateway before it stops reading from sockets.',
    default: '64MB',
    min: MB,
    max: 16 * GB,
    why: 'About a third of a second of what one disk writes.',
  }),
  readCache: size({
    about: 'Memory for messages read from disk, in a store.',
    default: '64MB',
    min: 0,
    max: 64 * GB,
    why: 'What was just written is delivered from memory; a backlog is read in order, where more would not help.',
  }),
};

const retained = {
  maxCount: integer({
    about: 'Retained messages of the cluster; each partition has its share. More are refused (0x97).',
    default: 1_000_000,
    min: 1,
    max: 1_000_000_000,
    why: 'They are kept until somebody removes them; the bound stops a client that makes up topics.',
  }),
  maxSize: size({
    about: 'Bytes of retained messages of the cluster; each partition has its share. More are refused (0x97).',
    default: '1GB',
    min: MB,
    max: 1024 * GB,
    why: 'A thousand bytes for each of a million.',
  }),
  maxMessageSize: size({
    about: 'Largest message that may be retained, with what it costs to hold it. A larger one is refused (0x97).',
    default: '1MB',
    min: KB,
    max: 256 * MB,
    why: 'Whoever subscribes gets it at once, asked for or not.',
  }),
};

const storage = {
  segmentSize: size({
    about: 'Size of one file of the entry log.',
    default: '64MB',
    min: MB,
    // Positions in one are 32-bit, and a frame of up to a gigabyte may go beyond its size.
    max: GB,
    why: 'Space is given back by whole files: small enough to come back soon, large enough to be few.',
  }),
  sync: toggle({
    about: 'Whether a write is on disk before it is acknowledged. Switch it off only for tests.',
    default: true,
    why: 'An acknowledged message survives a power failure.',
  }),
  logVerify: choice(LOG_VERIFY_MODES, {
    about: 'What is checked at the start: tail reads the newest segment, full every one.',
    default: 'tail',
    why: 'Only the tail can be torn by a crash; every later read is checked as well.',
  }),
};

const log = {
  level: choice(LOG_LEVELS, {
    about: 'The least important lines that are written.',
    default: 'info',
    why: 'A line per change of state, none per message.',
  }),
  format: choice(LOG_FORMATS, {
    about: 'json for machines, text for a terminal.',
    default: 'json',
    why: 'What log collectors take as it is.',
  }),
};

export const CONFIG_SCHEMA = {
  node,
  listeners,
  tls,
  scaler,
  cluster,
  mqtt,
  auth,
  jwt,
  authorization,
  api,
  queues,
  sessions,
  retained,
  storage,
  log,
};

/** The configuration as written, complete with defaults: durations and sizes are still text. */
export type WrittenConfig = { [S in keyof typeof CONFIG_SCHEMA]: WrittenSection<(typeof CONFIG_SCHEMA)[S]> };
type WrittenSection<S> = { [K in keyof S]: S[K] extends Leaf<infer T> ? T : never };
