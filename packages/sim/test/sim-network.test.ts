import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SimNetwork } from '../src/sim-network.ts';
import type { Wire } from '../src/sim-wire.ts';
import { type Life, SimWorld } from '../src/sim-world.ts';
import { driven } from '../src/simulation.ts';
import { enterWorld } from '../src/virtual-globals.ts';

/** What travels here is words, no messages of a contract. */
const words: Wire = { carry: (_service, _direction, message) => ({ message, bytes: String(message).length }) };
const KNOBS = { latencyMsMin: 1, latencyMsMax: 20, keepaliveMs: 1_000, callTimeoutMs: 3_000 };

describe('the simulated network', () => {
  let world: SimWorld;
  let network: SimNetwork;
  let leave: () => void;
  let lives: Life[];
  let heard: string[];

  beforeEach(() => {
    world = new SimWorld(3);
    network = new SimNetwork(world, KNOBS, words);
    leave = enterWorld(world);
    heard = [];
    lives = [1, 2].map((id) => world.life(`n${id}`));
    for (const [at, life] of lives.entries()) {
      const host = network.join(at + 1, life);
      host.serveChannel<string, string>('raft', (channel, from) => {
        channel.onMessage((message) => {
          heard.push(`${from}:${message}`);
          channel.send(`re ${message}`);
        });
        channel.onClose(() => heard.push('far closed'));
      });
      host.serveCall<string, string>('metadata', async (request, from) => `${request} of ${from}`);
    }
  });
  afterEach(() => leave());

  const open = () => {
    const channel = network.host(1)?.open<string, string>(2, 'raft');
    if (channel === undefined) throw new Error('node 1 is not there');
    channel.onMessage((message) => heard.push(message));
    channel.onClose(() => heard.push('near closed'));
    return channel;
  };
  const pass = (ms: number) => world.run(world.nowMs + ms);

  test('is ordered whatever the latencies, also over a cut that ends in time', async () => {
    const channel = open();
    for (let i = 0; i < 50; i++) {
      channel.send(`${i}`);
      if (i === 20) network.cut(1, 2);
      if (i === 40) network.mend(1, 2);
      await pass(5);
    }
    await pass(500);
    const arrived = heard.filter((line) => line.startsWith('1:')).map((line) => Number(line.slice(2)));
    expect(arrived).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(heard).not.toContain('near closed');
    expect(channel.unsentBytes).toBe(0);
  });

  test('breaks at both ends when a cut outlasts the keepalive', async () => {
    const channel = open();
    await pass(100);
    network.cut(1, 2);
    channel.send('lost');
    await pass(5_000);
    expect(heard.sort()).toEqual(['far closed', 'near closed']);
    network.mend(1, 2);
    await pass(1_000);
    expect(heard).not.toContain('1:lost');
  });

  test('a killed process resets its channels, a dead machine is noticed by silence', async () => {
    open();
    await pass(100);
    lives[1]?.end();
    network.resetChannelsOf(lives[1] as Life);
    await pass(50);
    expect(heard).toEqual(['near closed']);
    const again = open();
    await pass(50);
    again.send('nobody');
    expect(heard).toEqual(['near closed', 'near closed']);
  });

  test('a stopped process hears everything at once when it goes on', async () => {
    const channel = open();
    await pass(100);
    lives[1]?.pause();
    channel.send('a');
    channel.send('b');
    await pass(300);
    expect(heard).toEqual([]);
    lives[1]?.resume();
    await pass(50);
    expect(heard).toEqual(['1:a', '1:b', 're a', 're b']);
  });

  test('calls are answered, or fail in time', async () => {
    const ask = () => network.host(1)?.call<string, string>(2, 'metadata', 'who') as Promise<string>;
    expect(await driven(world, ask(), 10_000)).toBe('who of 1');
    network.cut(2, 1);
    await expect(driven(world, ask(), 10_000)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
    network.mend(2, 1);
    lives[1]?.end();
    await expect(driven(world, ask(), 10_000)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
  });
});
