import type { ApiKeyRecord } from '@sluice/api/auth/api-key-file';
import { parseDuration } from '@sluice/common/human-duration';
import { parseSize } from '@sluice/common/human-size';
import type { CertificateMapping } from '@sluice/gateway/auth/certificate-method';
import type { JwtKey } from '@sluice/gateway/auth/jwt-keys';
import type { JwtRules } from '@sluice/gateway/auth/jwt-method';
import type { ScopedRules } from '@sluice/gateway/auth/scoped-rules';
import type { IngressRates } from '@sluice/gateway/listener/paced-channel';
import type { Access, AccessFiles } from './access-files.ts';
import type { DENY_ACTIONS } from './access-schema.ts';
import { type Address, parseAddress } from './address.ts';
import type { ApiKeyFiles } from './api-key-files.ts';
import type { MqttUser } from './password-file.ts';
import type { LOG_FORMATS, LOG_LEVELS, LOG_VERIFY_MODES, Role, WrittenConfig } from './schema.ts';

/** What a node runs with: every value checked, in milliseconds and bytes, every decision of `auto` taken. */
export interface ServerConfig {
  node: {
    roles: ReadonlySet<Role>;
    dataDirectory: string;
    /** Empty: take what others know it by. */
    name: string;
    join: readonly Address[];
    advertise: Address | null;
    advertiseMqtt: Address | null;
    rack: string;
    leavesOnStop: boolean;
    drainTimeoutMs: number;
  };
  /** null: the listener is off. */
  listeners: {
    mqtt: Address | null;
    mqtts: Address | null;
    ws: Address | null;
    wss: Address | null;
    http: Address | null;
    grpc: Address | null;
    scaler: Address | null;
  };
  tls: {
    certificateFile: string | null;
    keyFile: string | null;
    clientCaFile: string | null;
    clientRevocationFile: string | null;
  };
  scaler: { tls: boolean };
  cluster: { replicationFactor: number; replaceAfterMs: number; tls: ClusterTlsFiles | null };
  mqtt: {
    maximumPacketBytes: number;
    receiveMaximum: number;
    topicAliasMaximum: number;
    validatePayloadFormat: boolean;
    systemIntervalMs: number;
    responseInformation: string;
    keepAliveMaxMs: number;
    connectTimeoutMs: number;
    connectionsMax: number;
    /** 0: any number. */
    connectionsPerAddress: number;
    connectRate: number;
    /** `connectsMax` 0: nobody is. */
    flapping: { connectsMax: number; windowMs: number; banMs: number };
    rates: IngressRates;
    /** Listeners that a balancer speaks to. */
    proxyProtocol: ReadonlySet<string>;
    readsInPlace: boolean;
    sendBufferBytesMax: number;
    liveQueueMessagesMax: number;
  };
  auth: {
    anonymous: boolean;
    /** What users, rules and keys were read from, to be read again. */
    files: AccessFiles;
    users: readonly MqttUser[];
    /** Users that the cluster shares may connect. */
    database: boolean;
    /** null: a certificate says nothing about who somebody is. */
    certificate: CertificateMapping | null;
  };
  /** null: tokens are nothing here. */
  jwt: (JwtRules & { keys: readonly JwtKey[]; jwksUrl: string | null; refreshMs: number }) | null;
  authorization: {
    rules: readonly ScopedRules[];
    noMatch: 'allow' | 'deny';
    denyAction: (typeof DENY_ACTIONS)[number];
  };
  api: {
    anonymous: boolean;
    keys: readonly ApiKeyRecord[];
    /** What they were read from, to be read again. */
    files: ApiKeyFiles;
  };
  queues: {
    countMax: number;
    partitionCount: number;
    publishBufferBytes: number;
    readCacheBytes: number;
    lagObjectiveMs: number;
  };
  /** Over the whole cluster. */
  sessions: { streamLimits: { countMax: number; bytesMax: number }; expiryWithoutPropertyS: number };
  retained: { countMax: number; bytesMax: number; messageBytesMax: number };
  storage: { segmentBytes: number; sync: boolean; logVerify: (typeof LOG_VERIFY_MODES)[number] };
  log: { level: (typeof LOG_LEVELS)[number]; format: (typeof LOG_FORMATS)[number] };
}

export interface ClusterTlsFiles {
  caFile: string;
  certificateFile: string;
  keyFile: string;
}

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
  const { node, listeners, tls, scaler, cluster, mqtt, queues, sessions, retained, storage, log } = written;
  return {
    node: {
      roles: new Set(node.roles),
      dataDirectory: node.dataDirectory,
      name: node.name,
      join: node.join.map((text) => toAddress(text)).filter((address) => address !== null),
      advertise: toAddress(node.advertise),
      advertiseMqtt: toAddress(node.advertiseMqtt),
      rack: node.rack,
      leavesOnStop: node.leavesOnStop,
      drainTimeoutMs: toMs(node.drainTimeout),
    },
    listeners: {
      mqtt: toAddress(listeners.mqtt),
      mqtts: toAddress(listeners.mqtts),
      ws: toAddress(listeners.ws),
      wss: toAddress(listeners.wss),
      http: toAddress(listeners.http),
      grpc: toAddress(listeners.grpc),
      scaler: toAddress(listeners.scaler),
    },
    tls: {
      certificateFile: tls.certificateFile ?? null,
      keyFile: tls.keyFile ?? null,
      clientCaFile: tls.clientCaFile ?? null,
      clientRevocationFile: tls.clientRevocationFile ?? null,
    },
    scaler: { tls: scaler.tls },
    cluster: {
      replicationFactor: cluster.replicationFactor,
      replaceAfterMs: toMs(cluster.replaceAfter),
      tls: clusterTls(cluster),
    },
    mqtt: {
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
    },
    auth: {
      anonymous: credentials.mqttAnonymous,
      files: credentials.accessFiles,
      users: credentials.access.users,
      database: written.auth.database,
      certificate: certificateMapping(written),
    },
    jwt: jwtOf(written, credentials),
    authorization: {
      rules: credentials.access.rules,
      noMatch: noMatchOf(written, credentials),
      denyAction: written.authorization.denyAction,
    },
    api: { anonymous: credentials.apiAnonymous, keys: credentials.keys, files: credentials.apiKeyFiles },
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
    storage: { segmentBytes: toBytes(storage.segmentSize), sync: storage.sync, logVerify: storage.logVerify },
    log: { level: log.level, format: log.format },
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
