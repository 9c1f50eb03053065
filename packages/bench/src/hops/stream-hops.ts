import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { AddressBook } from '@sluice/rpc/address-book';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import { NodeTransport } from '@sluice/rpc/node-transport';
import { type Hop, IMAGE_BYTES, type PreparedHop, SMALL_BYTES, TURN_MESSAGES } from './hop.ts';
import { batchOf } from './record-hops.ts';

/** Batches sent without waiting, and in a round: of images few, so that a round fits the young generation. */
export interface Pacing {
  inflight: number;
  round: number;
}
export const SMALL_PACING: Pacing = { inflight: 8, round: 32 };
export const IMAGE_PACING: Pacing = { inflight: 4, round: 8 };
const ALONE: Pacing = { inflight: 1, round: 32 };

/** From a gateway to a store on another node and its answer back, both ends in this process. */
export function streamHops(): Hop[] {
  return [
    {
      name: 'stream-256',
      what: '64 × 256 B to another node, answered',
      limit: 'best-socket-256',
      prepare: () => streaming(batchOf(TURN_MESSAGES, SMALL_BYTES), TURN_MESSAGES, SMALL_PACING),
    },
    {
      name: 'stream-256k',
      what: '256 KB to another node, answered',
      limit: 'best-socket-256k',
      prepare: () => streaming(batchOf(1, IMAGE_BYTES), 1, IMAGE_PACING),
    },
    {
      name: 'stream-alone',
      what: '256 B and its answer, one after the other',
      prepare: () => streaming(batchOf(1, SMALL_BYTES), 1, ALONE),
    },
  ];
}

async function streaming(batch: Uint8Array, messages: number, pacing: Pacing): Promise<PreparedHop> {
  const [gateway, store] = [nodeOf(1), nodeOf(2)];
  store.transport.serveChannel<AppendRequest, AppendResponse>('append', (channel) => {
    channel.onMessage(({ sequence }) => {
      channel.send({ type: 'answer', sequence, status: 'committed', refused: [], leader: 0 });
    });
  });
  const port = await store.transport.listen('127.0.0.1', 0);
  gateway.addresses.set(2, `127.0.0.1:${port}`);
  const channel = gateway.transport.open<AppendRequest, AppendResponse>(2, 'append');
  let answered = (): void => {};
  let broke = (): void => {};
  channel.onMessage(() => answered());
  channel.onClose(() => broke());
  let sequence = 0;
  return {
    messages: messages * pacing.round,
    round: () =>
      new Promise((resolve, reject) => {
        broke = () => reject(new Error('the channel broke'));
        let sent = 0;
        let left = pacing.round;
        const send = (): void => {
          sent++;
          channel.send({ sequence: ++sequence, partition: 1, batch });
        };
        answered = () => {
          if (--left === 0) resolve();
          else if (sent < pacing.round) send();
        };
        while (sent < pacing.inflight) send();
      }),
    async close() {
      channel.close();
      await Promise.all([gateway.transport.shutdown(), store.transport.shutdown()]);
    },
  };
}

function nodeOf(nodeId: number): { transport: NodeTransport; addresses: AddressBook } {
  const addresses = new AddressBook();
  const metrics = new PlainMetrics();
  const transport = new NodeTransport({ addresses, tls: undefined, logger: silentLogger, metrics, clock: systemClock });
  transport.setIdentity({ clusterId: 'hops', nodeId });
  return { transport, addresses };
}
