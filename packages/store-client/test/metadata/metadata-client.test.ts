import { beforeEach, describe, expect, test } from '@jest/globals';
import { Topology } from '@sluice/meta/topology';
import type { MetadataRequest, MetadataResponse } from '@sluice/rpc/contract/metadata';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import { MetadataClient } from '../../src/metadata/metadata-client.ts';

const NODE = 9;
const REMOVE = { kind: 'remove-queue', queueId: 1 } as const;
const DRAIN = { kind: 'set-node-state', nodeId: 1, state: 'draining' } as const;

let network: InprocNetwork;
let asked: { nodeId: number; type: MetadataRequest['type'] }[];
let leader: number;
let nowMs: number;
/** What the leader does with a command. */
let execute: () => MetadataResponse | 'silence';
let onPause: () => void;
let client: MetadataClient;

const DONE: MetadataResponse = { type: 'executed', reply: { result: 'done', epoch: 4 }, reached: true };

beforeEach(() => {
  network = new InprocNetwork({ codecs: true });
  asked = [];
  leader = 1;
  nowMs = 0;
  execute = () => DONE;
  onPause = () => {};
  for (const nodeId of [1, 2, 3]) serve(nodeId);
  client = new MetadataClient({
    transport: network.node(NODE),
    topology: new Topology(),
    coordinators: [1, 2, 3],
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    pause: async (ms) => {
      nowMs += ms;
      onPause();
    },
  });
});

function serve(nodeId: number): void {
  network.node(nodeId).serveCall<MetadataRequest, MetadataResponse>('metadata', async (request) => {
    asked.push({ nodeId, type: request.type });
    if (nodeId !== leader) return { type: 'not-leader', leader };
    if (request.type === 'reach') return { type: 'reached', reached: true };
    if (request.type === 'wanted') return { type: 'wanted', created: true };
    const outcome = execute();
    if (outcome === 'silence') throw new Error('gone');
    return outcome;
  });
}

describe('a change of the metadata', () => {
  test('goes to whoever leads, found by hints', async () => {
    leader = 3;
    expect(await client.execute(REMOVE)).toEqual({ reply: { result: 'done', epoch: 4 }, reached: true });
    expect(asked.map(({ nodeId, type }) => `${nodeId} ${type}`)).toEqual(['1 reach', '3 reach', '3 execute']);
    expect(await client.wanted('q', 'q/#')).toBe(true);
    expect(asked.at(-1)).toEqual({ nodeId: 3, type: 'wanted' });
  });

  test('finds the next leader when the one it knew is gone, without sending it the change', async () => {
    await client.execute(REMOVE);
    network.stop(1);
    leader = 2;
    asked = [];
    expect(await client.execute(REMOVE)).toBeDefined();
    expect(asked.filter(({ type }) => type === 'execute')).toEqual([{ nodeId: 2, type: 'execute' }]);
  });

  test('waits while nobody leads, and not for ever', async () => {
    leader = 0;
    onPause = () => {
      if (nowMs >= 3_000) leader = 2;
    };
    expect(await client.execute(REMOVE)).toBeDefined();
    leader = 0;
    onPause = () => {};
    nowMs = 0;
    expect(await client.execute(REMOVE)).toBeUndefined();
    expect(nowMs).toBeGreaterThanOrEqual(MetadataClient.DEADLINE_MS);
    expect(nowMs).toBeLessThan(MetadataClient.DEADLINE_MS + 1_000);
  });

  test('of which nobody knows what became is not sent again, unless twice is once', async () => {
    for (const outcome of ['silence', { type: 'unknown' }] as const) {
      let attempts = 0;
      execute = () => (++attempts === 1 ? outcome : DONE);
      expect(await client.execute(REMOVE)).toBeUndefined();
      expect(attempts).toBe(1);
      attempts = 0;
      expect(await client.execute(DRAIN)).toBeDefined();
      expect(attempts).toBe(2);
    }
  });

  test('that was certainly not made is sent again', async () => {
    let attempts = 0;
    execute = () => (++attempts === 1 ? { type: 'not-leader', leader: 0 } : DONE);
    expect(await client.execute(REMOVE)).toBeDefined();
    expect(attempts).toBe(2);
  });
});
