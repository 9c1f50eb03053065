import type { ClusterRequest, ClusterResponse } from '../contract/cluster.ts';
import type { Codec } from './codec.ts';
import { jsonCodec } from './json.ts';
import { nodeRegistrationShape } from './node-shapes.ts';
import { anyInteger, anyText, listOf, objectOf, typed } from './shape.ts';

const coordinators = listOf(objectOf({ nodeId: anyInteger, address: anyText }));

/** Anybody who reaches the port may say this, so all of it is checked. */
export const clusterRequestCodec: Codec<ClusterRequest> = jsonCodec(
  'cluster request',
  typed<ClusterRequest>({
    hello: { address: anyText, incarnation: anyText, founders: listOf(anyText) },
    register: { node: nodeRegistrationShape },
  }),
);

export const clusterResponseCodec: Codec<ClusterResponse> = jsonCodec(
  'cluster response',
  typed<ClusterResponse>({
    blank: { address: anyText, incarnation: anyText, founders: listOf(anyText) },
    member: {
      clusterId: anyText,
      nodeId: anyInteger,
      foundedWith: listOf(objectOf({ nodeId: anyInteger, address: anyText, incarnation: anyText })),
      coordinators,
    },
    registered: { clusterId: anyText, nodeId: anyInteger, coordinators },
    elsewhere: { address: anyText },
    refused: { code: anyText, message: anyText, hint: anyText },
  }),
);
