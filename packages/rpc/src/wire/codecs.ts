import type { CallService, ChannelService } from '../transport.ts';
import { appendRequestCodec, appendResponseCodec } from './append.ts';
import { backupRequestCodec, backupResponseCodec } from './backup.ts';
import { clusterRequestCodec, clusterResponseCodec } from './cluster.ts';
import type { Codec } from './codec.ts';
import { consumeRequestCodec, consumeResponseCodec } from './consume.ts';
import { gatewayLoadRequestCodec, gatewayLoadResponseCodec } from './gateway-load.ts';
import { liveRequestCodec, liveResponseCodec } from './live.ts';
import { metadataRequestCodec, metadataResponseCodec } from './metadata.ts';
import { raftFrameCodec } from './raft.ts';
import { snapshotAnswerCodec, snapshotChunkCodec } from './raft-snapshot.ts';
import { retainedRequestCodec, retainedResponseCodec } from './retained.ts';
import { sessionsRequestCodec, sessionsResponseCodec } from './sessions.ts';
import { storeAdminRequestCodec, storeAdminResponseCodec } from './store-admin.ts';
import { topologyRequestCodec, topologyUpdateCodec } from './topology.ts';

/** Both directions of a service: from who opened the channel or asks, and back. */
export interface ServiceCodecs {
  request: Codec<unknown>;
  response: Codec<unknown>;
  /** Its full method name in proto/v1. */
  path: string;
}

function service<Request, Response>(path: string, request: Codec<Request>, response: Codec<Response>): ServiceCodecs {
  return { path: `/sluice.v1.${path}`, request: request as Codec<unknown>, response: response as Codec<unknown> };
}

export const CHANNEL_CODECS: Readonly<Record<ChannelService, ServiceCodecs>> = {
  append: service('Append/Open', appendRequestCodec, appendResponseCodec),
  consume: service('Consume/Open', consumeRequestCodec, consumeResponseCodec),
  topology: service('Topology/Open', topologyRequestCodec, topologyUpdateCodec),
  raft: service('Raft/Open', raftFrameCodec, raftFrameCodec),
  'raft-control': service('RaftControl/Open', raftFrameCodec, raftFrameCodec),
  'raft-snapshot': service('RaftSnapshot/Open', snapshotChunkCodec, snapshotAnswerCodec),
  live: service('Live/Open', liveRequestCodec, liveResponseCodec),
  sessions: service('Sessions/Open', sessionsRequestCodec, sessionsResponseCodec),
};

export const CALL_CODECS: Readonly<Record<CallService, ServiceCodecs>> = {
  'store-admin': service('StoreAdmin/Ask', storeAdminRequestCodec, storeAdminResponseCodec),
  retained: service('Retained/Ask', retainedRequestCodec, retainedResponseCodec),
  metadata: service('Metadata/Ask', metadataRequestCodec, metadataResponseCodec),
  cluster: service('Cluster/Ask', clusterRequestCodec, clusterResponseCodec),
  'gateway-load': service('GatewayLoad/Ask', gatewayLoadRequestCodec, gatewayLoadResponseCodec),
  backup: service('Backup/Ask', backupRequestCodec, backupResponseCodec),
};
