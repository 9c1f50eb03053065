import { withinMs } from '@sluice/multiraft/within-ms';
import type { StoreAdminRequest, StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { Transport } from '@sluice/rpc/transport';

/** What another store answers; undefined when it cannot be asked or takes longer than it may. */
export function askStore(
  transport: Pick<Transport, 'call'>,
  nodeId: number,
  request: StoreAdminRequest,
  patienceMs: number,
): Promise<StoreAdminResponse | undefined> {
  const answer = transport.call<StoreAdminRequest, StoreAdminResponse>(nodeId, 'store-admin', request);
  return withinMs(
    answer.catch(() => undefined),
    patienceMs,
  );
}
