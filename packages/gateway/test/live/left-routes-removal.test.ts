import { describe, expect, test } from '@jest/globals';
import { TurnFlusher } from '@sluice/gateway/connection/turn-flusher';
import { LeftRoutesRemoval } from '@sluice/gateway/live/left-routes-removal';
import { LiveRouter } from '@sluice/gateway/live/live-router';
import { FILTERS_A_STEP } from '@sluice/mqtt/protocol/long-request';
import { publish, RecordingSubscriber, subscription } from './fixtures.ts';

const pass = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Scene {
  readonly router = new LiveRouter();
  readonly removal = new LeftRoutesRemoval(this.router, new TurnFlusher());

  subscriber(name: string, count: number): RecordingSubscriber {
    const subscriber = new RecordingSubscriber(name);
    for (let i = 0; i < count; i++) this.router.subscribe(subscriber, subscription(`${name}/${i}/+`));
    return subscriber;
  }

  leave(subscriber: RecordingSubscriber): void {
    this.router.leave(subscriber);
    this.removal.begin();
  }
}

describe('a turn removes so many routes and no more', () => {
  test('of one client that has thousands', async () => {
    const scene = new Scene();
    scene.leave(scene.subscriber('large', 3 * FILTERS_A_STEP + 5));
    for (const left of [2 * FILTERS_A_STEP + 5, FILTERS_A_STEP + 5, 5, 0, 0]) {
      expect(scene.router.leftCount).toBe(left);
      await pass();
    }
    expect(scene.router.wantedCount).toBe(0);
  });

  test('of all that leave in it together; few enough are gone at once', async () => {
    const scene = new Scene();
    const many = Array.from({ length: 300 }, (_, i) => scene.subscriber(`c${i}`, 10));
    const few = Math.floor(FILTERS_A_STEP / 10);
    for (const each of many.slice(0, few)) scene.leave(each);
    expect(scene.router.leftCount).toBe(0);
    for (const each of many.slice(few)) scene.leave(each);
    let left = 3_000 - FILTERS_A_STEP;
    expect(scene.router.leftCount).toBe(left);
    // Who leaves now stands behind them.
    scene.leave(scene.subscriber('late', 20));
    left += 20;
    while (left > 0) {
      expect(scene.router.leftCount).toBe(left);
      await pass();
      left -= FILTERS_A_STEP;
    }
    expect([scene.router.leftCount, scene.router.wantedCount]).toEqual([0, 0]);
  });

  test('and a later turn has its own share again', async () => {
    const scene = new Scene();
    scene.leave(scene.subscriber('one', FILTERS_A_STEP));
    await pass();
    scene.leave(scene.subscriber('two', FILTERS_A_STEP));
    expect(scene.router.leftCount).toBe(0);
  });
});

test('in between nobody gets what the one that left would have got', async () => {
  const scene = new Scene();
  const large = scene.subscriber('large', 3 * FILTERS_A_STEP);
  const last = `large/${3 * FILTERS_A_STEP - 1}/x`;
  expect(scene.router.route(publish(last))).toBe(1);
  large.take();
  scene.leave(large);
  for (let turn = 0; turn < 4; turn++) {
    expect(scene.router.route(publish(last))).toBe(0);
    await pass();
  }
  expect(large.take()).toEqual([]);
});

test('a gateway that ends takes no more turns', async () => {
  const scene = new Scene();
  scene.leave(scene.subscriber('large', 3 * FILTERS_A_STEP));
  scene.removal.close();
  await pass();
  await pass();
  expect(scene.router.leftCount).toBe(2 * FILTERS_A_STEP);
});
