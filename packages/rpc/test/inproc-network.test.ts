import { describe, expect, test } from '@jest/globals';
import type { ConsumeRequest, ConsumeResponse } from '../src/contract/consume.ts';
import type { MetadataRequest, MetadataResponse } from '../src/contract/metadata.ts';
import { InprocNetwork } from '../src/inproc/inproc-network.ts';
import type { Channel } from '../src/transport.ts';

type Near = Channel<ConsumeRequest, ConsumeResponse>;
type Far = Channel<ConsumeResponse, ConsumeRequest>;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Watched {
  readonly network = new InprocNetwork({ codecs: true });
  readonly seen: string[] = [];
  far: Far | undefined;

  constructor() {
    this.serve(2);
    this.network.node(1);
  }

  serve(nodeId: number): void {
    this.network.node(nodeId).serveChannel<ConsumeRequest, ConsumeResponse>('consume', (channel, from) => {
      this.far = channel;
      this.seen.push(`accepted from ${from}`);
      channel.onMessage((message) => this.seen.push(message.type === 'detach' ? `got ${message.consumerId}` : '?'));
      channel.onClose(() => this.seen.push('far closed'));
    });
  }

  open(): Near {
    const near: Near = this.network.node(1).open(2, 'consume');
    near.onClose(() => this.seen.push('near closed'));
    return near;
  }
}

const detach = (consumerId: number): ConsumeRequest => ({ type: 'detach', consumerId });

describe('the network of nodes in one process', () => {
  test('tells services who asks', async () => {
    const { network, seen } = new Watched();
    network
      .node(2)
      .serveCall<MetadataRequest, MetadataResponse>('metadata', (_request, from) =>
        Promise.resolve({ type: 'not-leader', leader: from }),
      );
    network.node(1).open(2, 'consume');
    expect(seen).toEqual(['accepted from 1']);
    const answer = await network.node(1).call(2, 'metadata', { type: 'reach', epoch: 7 } satisfies MetadataRequest);
    expect(answer).toEqual({ type: 'not-leader', leader: 1 });
  });

  test('a cut is silent and one-way, and a channel that lost something does not outlive it', async () => {
    const watched = new Watched();
    const near = watched.open();
    const answers: ConsumeResponse[] = [];
    near.onMessage((message) => answers.push(message));
    near.send(detach(1));
    await turn();
    watched.network.cut(1, 2);
    near.send(detach(2));
    watched.far?.send({ type: 'waiting', consumerId: 9, waiting: true });
    await turn();
    expect(watched.seen).toEqual(['accepted from 1', 'got 1']);
    expect(answers).toHaveLength(1);
    watched.network.heal(1, 2);
    near.send(detach(3));
    await turn();
    expect(watched.seen).toEqual(['accepted from 1', 'got 1', 'near closed', 'far closed']);
    expect(watched.network.openChannels).toBe(0);
  });

  test('a channel that lost nothing outlives a cut', async () => {
    const watched = new Watched();
    const near = watched.open();
    watched.network.cut(1, 2);
    watched.network.heal(1, 2);
    near.send(detach(1));
    await turn();
    expect(watched.seen).toEqual(['accepted from 1', 'got 1']);
  });

  test('opened or closed into a cut, nobody is told until it is healed', async () => {
    const watched = new Watched();
    const first = watched.open();
    watched.network.cut(1, 2);
    watched.open();
    first.close();
    await turn();
    expect(watched.seen).toEqual(['accepted from 1', 'near closed']);
    watched.network.heal(1, 2);
    await turn();
    expect(watched.seen.slice(2).sort()).toEqual(['far closed', 'near closed']);
    expect(watched.network.openChannels).toBe(0);
  });

  test('break closes both ends at once', async () => {
    const watched = new Watched();
    watched.open();
    watched.network.break(2, 1);
    await turn();
    expect(watched.seen).toEqual(['accepted from 1', 'near closed', 'far closed']);
  });

  test('what was sent before closing arrives', async () => {
    const watched = new Watched();
    const near = watched.open();
    near.send(detach(1));
    near.send(detach(2));
    near.close();
    near.send(detach(3));
    await turn();
    expect(watched.seen.filter((event) => event !== 'near closed')).toEqual([
      'accepted from 1',
      'got 1',
      'got 2',
      'far closed',
    ]);
  });

  test('a stopped node closes what it had and answers nobody, its successor is another', async () => {
    const watched = new Watched();
    watched.open();
    const former = watched.network.node(2);
    watched.network.stop(2);
    await turn();
    expect(watched.seen).toEqual(['accepted from 1', 'near closed', 'far closed']);
    watched.open();
    former.open(1, 'consume').onClose(() => watched.seen.push('former refused'));
    await turn();
    expect(watched.seen.slice(3)).toEqual(['near closed', 'former refused']);
    await expect(watched.network.node(1).call(2, 'metadata', { type: 'reach', epoch: 1 })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
      retriable: true,
    });
    watched.serve(2);
    watched.open();
    expect(watched.seen.at(-1)).toBe('accepted from 1');
  });

  test('a call is rejected by a cut on either way', async () => {
    const { network } = new Watched();
    let asked = 0;
    network.node(2).serveCall<MetadataRequest, MetadataResponse>('metadata', () => {
      asked++;
      return Promise.resolve({ type: 'unknown' });
    });
    const ask = (): Promise<unknown> => network.node(1).call(2, 'metadata', { type: 'reach', epoch: 1 });
    network.cut(1, 2);
    await expect(ask()).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
    expect(asked).toBe(0);
    network.heal(1, 2);
    network.cut(2, 1);
    await expect(ask()).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
    expect(asked).toBe(1);
    network.heal(2, 1);
    expect(await ask()).toEqual({ type: 'unknown' });
  });

  test('a schedule of the test decides when things arrive, never their order', async () => {
    const tasks: (() => void)[] = [];
    const network = new InprocNetwork({ codecs: false, schedule: (task) => tasks.push(task) });
    const seen: unknown[] = [];
    network.node(2).serveChannel<ConsumeRequest, ConsumeResponse>('consume', (channel) => {
      channel.onMessage((message) => seen.push(message));
      channel.onClose(() => seen.push('closed'));
    });
    const near: Near = network.node(1).open(2, 'consume');
    near.send(detach(1));
    near.send(detach(2));
    near.close();
    await turn();
    expect(seen).toEqual([]);
    for (const task of tasks.reverse()) task();
    await turn();
    expect(seen).toEqual([detach(1), detach(2), 'closed']);
  });
});
