import { describe, expect, test } from '@jest/globals';
import { InprocTransport } from '../src/inproc/inproc-transport.ts';
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
    const { near, far } = pair(new InprocTransport({ isolate: false }));
    const seen: number[] = [];
    far.onMessage(({ n }) => seen.push(n));
    near.send({ n: 1 });
    near.send({ n: 2 });
    expect(seen).toEqual([]);
    await turn();
    expect(seen).toEqual([1, 2]);
  });

  test('keeps what arrives before anybody listens', async () => {
    const { near, far } = pair(new InprocTransport({ isolate: false }));
    near.send({ n: 1 });
    await turn();
    const seen: number[] = [];
    far.onMessage(({ n }) => seen.push(n));
    await turn();
    expect(seen).toEqual([1]);
  });

  test('a closed end tells the other once, and carries nothing more', async () => {
    const { near, far } = pair(new InprocTransport({ isolate: false }));
    const seen: unknown[] = [];
    far.onMessage((message) => seen.push(message));
    far.onClose(() => seen.push('closed'));
    near.close();
    near.close();
    near.send({ n: 1 });
    await turn();
    expect(seen).toEqual(['closed']);
  });

  test('isolated, the two sides never share an object', async () => {
    const { near, far } = pair(new InprocTransport({ isolate: true }));
    const sent = { n: 1 };
    let received: { n: number } | undefined;
    far.onMessage((message) => {
      received = message;
    });
    near.send(sent);
    sent.n = 2;
    await turn();
    expect(received).toEqual({ n: 1 });
  });

  test('a service nobody serves closes its channel and rejects its calls', async () => {
    const transport = new InprocTransport({ isolate: false });
    let closed = false;
    transport.open(1, 'consume').onClose(() => {
      closed = true;
    });
    await turn();
    expect(closed).toBe(true);
    await expect(transport.call(1, 'store-admin', {})).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
  });
});
