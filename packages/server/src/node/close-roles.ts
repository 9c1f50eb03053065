import type { Roles } from './compose-node.ts';
import type { Ground } from './ground.ts';

/**
 * Ends what a node is made of, as far as it was made: who uses another ends before it. The groups close the storage they
 * stand on when nothing of theirs is under way; only where there are none does the ground close it itself.
 */
export async function closeRoles({ gateway, coordinator, store, exports, host }: Roles, ground: Ground): Promise<void> {
  await gateway?.stop(0);
  coordinator?.close();
  host?.stopWaiting();
  await store?.close();
  exports?.close();
  await (host === undefined ? ground.close() : host.close());
}
