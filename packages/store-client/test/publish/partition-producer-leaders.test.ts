import { describe, expect, test } from '@jest/globals';
import type { AppendRequest, AppendStatus } from '@sluice/rpc/contract/append';
import { BatchSender } from '../../src/publish/batch-sender.ts';
import {
  add,
  clock,
  metrics,
  type Outcome,
  originOf,
  PRODUCER,
  producer,
  routes,
  store,
  textsOf,
  topology,
  turn,
  until,
} from '../doubles/producer-scene.ts';

describe('a change of leader', () => {
  const FIRST = [1, 2, 3, 4, 5, 6, 7, 8];
  const resends = (): number => metrics.counter('sluice_gateway_append_resends_total', '').value;
  const on = (nodeId: number): AppendRequest[] => store.transport.to(nodeId).requests;
  const say = (nodeId: number, n: number, status: AppendStatus, leader = 0): void => {
    const { sequence } = on(nodeId)[n] as AppendRequest;
    store.transport.to(nodeId).say({ type: 'answer', sequence, status, refused: [], leader });
  };
  /** What was sent to it: what is in the batch, which is its number here, and which one it comes after. */
  const seen = (nodeId: number): string[] =>
    on(nodeId).map(({ batch }) => `${textsOf(batch)}>${originOf(batch).after}`);

  /** Batches 1 to 8 sent to node 1, of which the first four are stored. */
  async function publishEight(): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const n of FIRST) {
      outcomes.push(add(String(n)));
      await turn();
    }
    for (let n = 0; n < 4; n++) say(1, n, 'committed');
    return outcomes;
  }

  test('the leader dies with 5 to 8 in flight: they go to the next one in their order, and 9 behind them', async () => {
    const outcomes = await publishEight();
    store.transport.kill(1);
    outcomes.push(add('9'));
    await turn();
    expect(seen(2).concat(seen(3))).toEqual([]);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(2)).toEqual(['5>4', '6>5', '7>6', '8>7', '9>8']);
    expect(resends()).toBe(4);
    for (let n = 0; n < 5; n++) say(2, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(9).fill(['stored']));
    expect(producer.bufferedBytes).toBe(0);
  });

  test('a former leader refuses one of them: all that are unanswered go to the next one at once', async () => {
    const outcomes = await publishEight();
    say(1, 5, 'not-leader', 2);
    expect(seen(2)).toEqual(['5>4', '6>5', '7>6', '8>7']);
    // What it says of the others by and by is said by the next one as well.
    say(1, 4, 'committed');
    say(1, 6, 'not-leader', 3);
    expect(outcomes[4]?.said).toEqual([]);
    for (let n = 0; n < 4; n++) say(2, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(8).fill(['stored']));
    expect(seen(3)).toEqual([]);
  });

  test('a leader that is announced while the former says nothing gets everything that is unanswered', async () => {
    await publishEight();
    store.transport.to(3).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(3)).toEqual(['5>4', '6>5', '7>6', '8>7']);
    say(1, 6, 'not-leader', 1);
    add('9');
    await turn();
    expect(seen(3).at(-1)).toBe('9>8');
  });

  test('of two that announce themselves the later term is followed, whichever comes last', async () => {
    await publishEight();
    store.transport.kill(1);
    store.transport.to(3).say({ type: 'leading', partition: 1, term: 3 });
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    add('9');
    await turn();
    expect(seen(3)).toEqual(['5>4', '6>5', '7>6', '8>7', '9>8']);
    expect(seen(2)).toEqual([]);
  });

  test('the next one is lost too while everything is on its way to it: the third gets it, in order', async () => {
    const outcomes = await publishEight();
    store.transport.kill(1);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    say(2, 0, 'committed');
    store.transport.kill(2);
    store.transport.to(3).say({ type: 'leading', partition: 1, term: 3 });
    expect(seen(3)).toEqual(['6>5', '7>6', '8>7']);
    for (let n = 0; n < 3; n++) say(3, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(8).fill(['stored']));
  });

  test('with nobody announced the replicas are asked with one batch, and who takes it gets the others', async () => {
    await publishEight();
    store.transport.kill(1);
    await until(() => {
      clock.nowMs += 25;
      // Node 2 may be asked several times before node 3 is.
      if (on(2).length > 0) say(2, on(2).length - 1, 'not-leader');
      return on(3).length > 0;
    });
    expect(seen(2).every((text) => text === '5>4')).toBe(true);
    expect(seen(3)).toEqual(['5>4']);
    say(3, 0, 'committed');
    expect(seen(3)).toEqual(['5>4', '6>5', '7>6', '8>7']);
  });

  test('a replica that is asked and says nothing is not asked for ever', async () => {
    routes.suspect(1, 1);
    add('1');
    await turn();
    expect(store.requests).toHaveLength(1);
    clock.nowMs += BatchSender.ASKING_PATIENCE_MS;
    await until(() => {
      clock.nowMs += 25;
      return store.requests.length > 1;
    });
    const askedOf = store.transport.channels.filter(({ requests }) => requests.length > 0);
    expect(new Set(askedOf.map(({ nodeId }) => nodeId)).size).toBe(2);
  });

  test('a busy leader gets the same again, from the refused one on, after a pause', async () => {
    const outcomes = await publishEight();
    say(1, 5, 'busy', 1);
    say(1, 6, 'out-of-order', 1);
    say(1, 7, 'out-of-order', 1);
    await turn();
    expect(on(1)).toHaveLength(8);
    // 5 was taken and will be answered; those that come after it need not wait for that.
    clock.nowMs += BatchSender.BACKOFF_MS_MIN;
    await until(() => on(1).length > 8);
    expect(seen(1).slice(8)).toEqual(['6>5', '7>6', '8>7']);
    expect(originOf(on(1)[8]?.batch as Uint8Array).answeredTo).toBe(4);
    say(1, 4, 'committed');
    expect(routes.leaderOf(1)).toBe(1);
    for (let n = 8; n < 11; n++) say(1, n, 'committed');
    expect(outcomes.map(({ said }) => said)).toEqual(Array(8).fill(['stored']));
  });

  test('a new leader that does not serve yet says that it leads and refuses: it is asked again when it announces itself', async () => {
    await publishEight();
    store.transport.kill(1);
    routes.suspect(1, 1);
    topology.applyLiveness({ leaders: [{ partition: 1, nodeId: 2, term: 2 }], alive: [2, 3] });
    producer.topologyChanged();
    expect(seen(2)).toEqual(['5>4', '6>5', '7>6', '8>7']);
    for (let n = 0; n < 4; n++) say(2, n, 'not-leader', 2);
    expect(routes.leaderOf(1)).toBe(2);
    expect(on(2)).toHaveLength(4);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(2).slice(4)).toEqual(['5>4', '6>5', '7>6', '8>7']);
  });

  test('a batch refused for good leaves its place: those behind it come after the one before it', async () => {
    const outcomes = await publishEight();
    say(1, 4, 'storage-full');
    expect(outcomes[4]?.said).toEqual(['storage-full']);
    const ninth = add('9');
    await turn();
    expect(seen(1).slice(8)).toEqual(['9>8']);
    for (let n = 5; n < 9; n++) say(1, n, 'out-of-order', 1);
    clock.nowMs += BatchSender.BACKOFF_MS_MIN;
    await until(() => on(1).length > 9);
    expect(seen(1).slice(9)).toEqual(['6>4', '7>6', '8>7', '9>8']);
    for (let n = 9; n < 13; n++) say(1, n, 'committed');
    expect([...outcomes.slice(5), ninth].map(({ said }) => said)).toEqual(Array(4).fill(['stored']));
  });

  test('a disk that is full refuses all that are on their way, and nothing is sent again', async () => {
    const outcomes = await publishEight();
    for (let n = 4; n < 8; n++) say(1, n, 'storage-full');
    expect(outcomes.slice(4).map(({ said }) => said)).toEqual(Array(4).fill(['storage-full']));
    add('9');
    await turn();
    expect(seen(1).slice(8)).toEqual(['9>4']);
    expect(resends()).toBe(0);
  });

  test('an answer that overtakes others tells that they are in the log: the next batch comes after it', async () => {
    await publishEight();
    say(1, 6, 'committed');
    store.transport.kill(1);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    expect(seen(2)).toEqual(['5>0', '6>5', '8>7']);
    const origins = on(2).map(({ batch }) => originOf(batch));
    expect(origins.map(({ sequence, answeredTo }) => [sequence, answeredTo])).toEqual([5, 6, 8].map((n) => [n, 4]));
    expect(new Set(origins.map(({ producer }) => producer))).toEqual(new Set([PRODUCER]));
  });

  test('nobody leads until the deadline: the publishers are told in their order, and the next one starts anew', async () => {
    const told: string[] = [];
    const outcomes = await publishEight();
    store.transport.kill(1);
    for (const [i, outcome] of outcomes.entries()) {
      outcome.recordFailed = (failure) => told.push(`${i + 1} ${failure}`);
    }
    clock.nowMs += 5_001;
    await until(() => told.length === 4);
    expect(told).toEqual(['5 unavailable', '6 unavailable', '7 unavailable', '8 unavailable']);
    expect(producer.bufferedBytes).toBe(0);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    add('9');
    await turn();
    expect(seen(2).at(-1)).toBe('9>4');
  });

  test('what waits for a leader counts as buffered', async () => {
    store.transport.kill(1);
    for (let i = 0; i < 4; i++) {
      add(Buffer.alloc(3_000));
      await turn();
    }
    expect(producer.congested).toBe(true);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    for (let n = 0; n < 4; n++) say(2, n, 'committed');
    expect([producer.congested, producer.bufferedBytes]).toEqual([false, 0]);
  });

  test('bytes that are sent again are a copy: the first leader may hold and stamp its own', async () => {
    await publishEight();
    const first = on(1)[4]?.batch as Uint8Array;
    const before = first.slice();
    store.transport.kill(1);
    store.transport.to(2).say({ type: 'leading', partition: 1, term: 2 });
    const second = on(2)[0]?.batch as Uint8Array;
    expect(textsOf(second)).toEqual(textsOf(first));
    expect(first).toEqual(before);
    expect(second.buffer).not.toBe(first.buffer);
  });

  test('every store is connected from the beginning, and again after it was lost', async () => {
    expect(store.transport.channels.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
    store.transport.kill(3);
    store.transport.down.clear();
    await until(() => {
      clock.nowMs += 50;
      return store.transport.openChannels(3).length === 1;
    });
    store.transport.to(3).say({ type: 'leading', partition: 2, term: 9 });
    expect(routes.leaderOf(2)).toBe(3);
  });
});
