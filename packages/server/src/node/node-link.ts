import { hostname } from 'node:os';
import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import { AddressBook } from '@sluice/rpc/address-book';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import { ClusterCertificates } from '../certificates/cluster-certificates.ts';
import { type Address, formatAddress } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import { nodeName } from '../identity/node-name.ts';

/** How the roles of this node reach each other and, when it has a gRPC listener, other nodes. */
export interface NodeLink {
  readonly transport: Transport & ServiceRegistry;
  readonly addresses: AddressBook;
  /** Where others reach this node; empty for one that is alone. */
  readonly advertised: string;
  /** Where gRPC is bound. */
  readonly grpc: Address | null;
  ask(address: string, request: ClusterRequest): Promise<ClusterResponse>;
  setIdentity(identity: { clusterId: string; nodeId: number }): void;
  close(): Promise<void>;
}

export async function openNodeLink(
  config: ServerConfig,
  parts: { clock: Clock; logger: Logger; metrics: Metrics },
): Promise<NodeLink> {
  const addresses = new AddressBook();
  const { grpc } = config.listeners;
  if (grpc === null) {
    const transport = new InprocTransport();
    return {
      transport,
      addresses,
      advertised: '',
      grpc: null,
      ask: () => Promise.reject(new SluiceError('PEER_UNAVAILABLE', 'this node has no way to others')),
      setIdentity: ({ nodeId }) => transport.setNodeId(nodeId),
      close: async () => {},
    };
  }
  // Loaded here: a broker that is alone starts sooner, and is smaller, without it.
  const { NodeTransport } = await import('@sluice/rpc/node-transport');
  const certificates =
    config.cluster.tls === null ? undefined : await ClusterCertificates.open(config.cluster.tls, parts);
  const transport = new NodeTransport({ addresses, tls: certificates?.current, ...parts });
  const port = await transport.listen(grpc.host, grpc.port);
  const advertised = formatAddress(config.node.advertise ?? { host: reachableHost(grpc.host), port });
  const close = async (): Promise<void> => {
    certificates?.close();
    await transport.shutdown();
  };
  try {
    // Who founds a cluster is asked before anybody knows its name.
    const isFounder = config.node.join.some((address) => formatAddress(address) === advertised);
    certificates?.mustName({ address: advertised, name: isFounder ? '' : nodeName(config, advertised) });
  } catch (cause) {
    await close();
    throw cause;
  }
  certificates?.watch((tls) => transport.setTls(tls));
  return {
    transport,
    addresses,
    advertised,
    grpc: { host: grpc.host, port },
    ask: (address, request) => transport.callAddress<ClusterRequest, ClusterResponse>(address, 'cluster', request),
    setIdentity: (identity) => transport.setIdentity(identity),
    close,
  };
}

/** Bound to every interface, a node is known by the name of its machine. */
function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? hostname() : host;
}
