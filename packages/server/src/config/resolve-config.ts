import type { ApiKeyRecord } from '@sluice/api/auth/api-key-file';
import { parseDuration } from '@sluice/common/human-duration';
import { parseSize } from '@sluice/common/human-size';
import type { CertificateMapping } from '@sluice/gateway/auth/certificate-method';
import type { Access, AccessFiles } from './access-files.ts';
import { type Address, parseAddress } from './address.ts';
import type { ApiKeyFiles } from './api-key-files.ts';
import type { ClusterTlsFiles, ServerConfig } from './config.ts';
import type { WrittenConfig } from './schema.ts';

/** What the files named in the configuration contain, and what `auto` means with them. */
export interface Credentials {
  mqttAnonymous: boolean;
  access: Access;
  accessFiles: AccessFiles;
  apiAnonymous: boolean;
  keys: readonly ApiKeyRecord[];
  apiKeyFiles: ApiKeyFiles;
}

/** `written` has passed the validation: nothing here can fail. */
export function resolveConfig(written: WrittenConfig, credentials: Credentials): ServerConfig {
  const { scaler, storage, log } = written;
  return {
    node: nodeOf(written),
    listeners: listenersOf(written),
    tls: tlsOf(written),
    scaler: { tls: scaler.tls },
    cluster: clusterOf(written),
    mqtt: mqttOf(written),
    auth: authOf(written, credentials),
    jwt: jwtOf(written, credentials),
    authorization: {
      rules: credentials.access.rules,
      noMatch: noMatchOf(written, credentials),
      denyAction: written.authorization.denyAction,
    },
    api: { anonymous: credentials.apiAnonymous, keys: credentials.keys, files: credentials.apiKeyFiles },
    ...keptOf(written),
    storage: { segmentBytes: toBytes(storage.segmentSize), sync: storage.sync, logVerify: storage.logVerify },
    log: { level: log.level, format: log.format },
  };
}

function nodeOf({ node }: WrittenConfig): ServerConfig['node'] {
  return {
    roles: new Set(node.roles),
    dataDirectory: node.dataDirectory,
    name: node.name,
    join: node.join.map((text) => toAddress(text)).filter((address) => address !== null),
    advertise: toAddress(node.advertise),
    advertiseMqtt: toAddress(node.advertiseMqtt),
    rack: node.rack,
    leavesOnStop: node.leavesOnStop,
    drainTimeoutMs: toMs(node.drainTimeout),
  };
}

function listenersOf({ listeners }: WrittenConfig): ServerConfig['listeners'] {
  return {
    mqtt: toAddress(listeners.mqtt),
    mqtts: toAddress(listeners.mqtts),
    ws: toAddress(listeners.ws),
    wss: toAddress(listeners.wss),
    http: toAddress(listeners.http),
    grpc: toAddress(listeners.grpc),
    scaler: toAddress(listeners.scaler),
  };
}

function tlsOf({ tls }: WrittenConfig): ServerConfig['tls'] {
  return {
    certificateFile: tls.certificateFile ?? null,
    keyFile: tls.keyFile ?? null,
    clientCaFile: tls.clientCaFile ?? null,
    clientRevocationFile: tls.clientRevocationFile ?? null,
  };
}

function clusterOf({ cluster }: WrittenConfig): ServerConfig['cluster'] {
  return {
    replicationFactor: cluster.replicationFactor,
    replaceAfterMs: toMs(cluster.replaceAfter),
    tls: clusterTls(cluster),
  };
}

function mqttOf({ mqtt }: WrittenConfig): ServerConfig['mqtt'] {
  return {
    maximumPacketBytes: toBytes(mqtt.maximumPacketSize),
    receiveMaximum: mqtt.receiveMaximum,
    topicAliasMaximum: mqtt.topicAliasMaximum,
    validatePayloadFormat: mqtt.validatePayloadFormat,
    systemIntervalMs: toMs(mqtt.systemInterval),
    responseInformation: mqtt.responseInformation,
    keepAliveMaxMs: toMs(mqtt.keepAliveMax),
    connectTimeoutMs: toMs(mqtt.connectTimeout),
    connectionsMax: mqtt.connectionsMax,
    connectionsPerAddress: mqtt.connectionsPerAddress,
    connectRate: mqtt.connectRate,
    flapping: {
      connectsMax: mqtt.flappingConnects,
      windowMs: toMs(mqtt.flappingWindow),
      banMs: toMs(mqtt.flappingBan),
    },
    rates: {
      clientMessages: mqtt.messageRate,
      clientBytes: toBytes(mqtt.byteRate),
      listenerMessages: mqtt.listenerMessageRate,
      listenerBytes: toBytes(mqtt.listenerByteRate),
    },
    proxyProtocol: new Set(mqtt.proxyProtocol),
    readsInPlace: mqtt.readInPlace,
    sendBufferBytesMax: toBytes(mqtt.sendBufferMax),
    liveQueueMessagesMax: mqtt.liveQueueMax,
  };
}

/** What is kept for clients: in queues, for their sessions, and as the newest of a topic. */
function keptOf({ queues, sessions, retained }: WrittenConfig): Pick<ServerConfig, 'queues' | 'sessions' | 'retained'> {
  return {
    queues: {
      countMax: queues.maxCount,
      partitionCount: queues.partitions,
      publishBufferBytes: toBytes(queues.publishBuffer),
      readCacheBytes: toBytes(queues.readCache),
      lagObjectiveMs: toMs(queues.lagObjective),
    },
    sessions: {
      streamLimits: { countMax: sessions.streamMaxCount, bytesMax: toBytes(sessions.streamMaxSize) },
      expiryWithoutPropertyS: Math.floor(toMs(sessions.expiryWithoutProperty) / 1000),
    },
    retained: {
      countMax: retained.maxCount,
      bytesMax: toBytes(retained.maxSize),
      messageBytesMax: toBytes(retained.maxMessageSize),
    },
  };
}

function authOf(written: WrittenConfig, credentials: Credentials): ServerConfig['auth'] {
  return {
    anonymous: credentials.mqttAnonymous,
    files: credentials.accessFiles,
    users: credentials.access.users,
    database: written.auth.database,
    certificate: certificateMapping(written),
  };
}

function certificateMapping({ auth }: WrittenConfig): CertificateMapping | null {
  if (auth.certificateAs === 'none') return null;
  return { as: auth.certificateAs, name: auth.certificateName, withPassword: auth.certificateWithPassword };
}

/** Whether tokens let anybody in. */
export function takesTokens({ jwt }: WrittenConfig): boolean {
  return [jwt.secretFile, jwt.publicKeyFile, jwt.jwksFile, jwt.jwksUrl].some((source) => source !== undefined);
}

function jwtOf(written: WrittenConfig, { access: { jwtKeys } }: Credentials): ServerConfig['jwt'] {
  if (!takesTokens(written)) return null;
  const { from, userClaim, claims, leeway, refresh, jwksUrl } = written.jwt;
  return {
    from,
    userClaim,
    claims: new Map(claims.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)])),
    leewayMs: toMs(leeway),
    keys: jwtKeys,
    jwksUrl: jwksUrl ?? null,
    refreshMs: toMs(refresh),
  };
}

/** Whoever configures who may come in has not said that everybody may do everything. */
function noMatchOf(written: WrittenConfig, { access: { users }, mqttAnonymous }: Credentials): 'allow' | 'deny' {
  const { auth, authorization } = written;
  if (authorization.noMatch !== 'auto') return authorization.noMatch;
  const isAsked =
    users.length > 0 || auth.database || takesTokens(written) || auth.certificateAs !== 'none' || !mqttAnonymous;
  return isAsked || authorization.rulesFile !== undefined ? 'deny' : 'allow';
}

function clusterTls({ caFile, certificateFile, keyFile }: WrittenConfig['cluster']): ClusterTlsFiles | null {
  if (caFile === undefined || certificateFile === undefined || keyFile === undefined) return null;
  return { caFile, certificateFile, keyFile };
}

function toMs(text: string | number): number {
  const parsed = parseDuration(String(text));
  return parsed.ok ? parsed.ms : 0;
}

export function toBytes(text: string | number): number {
  const parsed = parseSize(String(text));
  return parsed.ok ? parsed.bytes : 0;
}

export function toAddress(text: string): Address | null {
  const parsed = parseAddress(text);
  return parsed.ok ? parsed.address : null;
}
