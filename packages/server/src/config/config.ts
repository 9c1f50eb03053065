import type { ApiKeyRecord } from '@sluice/api/auth/api-key-file';
import type { CertificateMapping } from '@sluice/gateway/auth/certificate-method';
import type { JwtKey } from '@sluice/gateway/auth/jwt-keys';
import type { JwtRules } from '@sluice/gateway/auth/jwt-method';
import type { ScopedRules } from '@sluice/gateway/auth/scoped-rules';
import type { IngressRates } from '@sluice/gateway/listener/paced-channel';
import type { AccessFiles } from './access-files.ts';
import type { DENY_ACTIONS } from './access-schema.ts';
import type { Address } from './address.ts';
import type { ApiKeyFiles } from './api-key-files.ts';
import type { MqttUser } from './password-file.ts';
import type { LOG_FORMATS, LOG_LEVELS, LOG_VERIFY_MODES, Role } from './schema.ts';

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
