import { describe, expect, test } from '@jest/globals';
import type { AppendRequest, AppendResponse } from '../src/contract/append.ts';
import { InprocTransport } from '../src/inproc/inproc-transport.ts';
import { WIRE_COPIES } from '../src/inproc/wire-copies.ts';
import type { Channel } from '../src/transport.ts';

type Numbers = Channel<{ n: number }, { n: number }>;

function pair(transport: InprocTransport): { near: Numbers; far: Numbers } {
  let far: Numbers | undefined;
  transport.serveChannel<{ n: number }, { n: number }>('append', (channel) => {
    far = channel;
  });
  const near: Numbers = transport.open(1, 'append');
  return { near, far: far as Numbers };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the in-process transport', () => {
  test('hands messages over in order, and never inside send', async () => {
    const { near, far } = pair(new InprocTransport());
    const seen: number[] = [];
    far.onMessage(({ n }) => seen.push(n));
    near.send({ n: 1 });
    near.send({ n: 2 });
    expect(seen).toEqual([]);
    await turn();
    expect(seen).toEqual([1, 2]);
  });

  test('keeps what arrives before anybody listens', async () => {
    const { near, far } = pair(new InprocTransport());
    near.send({ n: 1 });
    await turn();
    const seen: number[] = [];
    far.onMessage(({ n }) => seen.push(n));
    await turn();
    expect(seen).toEqual([1]);
  });

  test('a closed end tells the other once, and carries nothing more', async () => {
    const { near, far } = pair(new InprocTransport());
    const seen: unknown[] = [];
    far.onMessage((message) => seen.push(message));
    far.onClose(() => seen.push('closed'));
    near.close();
    near.close();
    near.send({ n: 1 });
    await turn();
    expect(seen).toEqual(['closed']);
  });

  test('with copies as of the wire, the two sides never share an object', async () => {
    const transport = new InprocTransport({ copies: WIRE_COPIES, nodeId: 7 });
    let received: AppendRequest | undefined;
    transport.serveChannel<AppendRequest, AppendResponse>('append', (channel, from) => {
      expect(from).toBe(7);
      channel.onMessage((message) => {
        received = message;
      });
    });
    const sent: AppendRequest = { sequence: 1, partition: 2, batch: new Uint8Array([1, 2, 3]) };
    transport.open<AppendRequest, AppendResponse>(7, 'append').send(sent);
    sent.batch[0] = 9;
    await turn();
    expect(received).toEqual({ sequence: 1, partition: 2, batch: new Uint8Array([1, 2, 3]) });
  });

  test('a service nobody serves closes its channel and rejects its calls', async () => {
    const transport = new InprocTransport();
    let closed = false;
    transport.open(1, 'consume').onClose(() => {
      closed = true;
    });
    await turn();
    expect(closed).toBe(true);
    await expect(transport.call(1, 'store-admin', {})).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
  });
});
