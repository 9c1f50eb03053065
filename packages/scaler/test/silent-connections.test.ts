import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { PlainMetrics } from '@sluice/common/metrics';
import { ScalerListener } from '../src/scaler-listener.ts';

const { ASKED_AFTER_MS, ANSWER_MS_MAX } = ScalerListener;
afterEach(() => void Object.assign(ScalerListener, { ASKED_AFTER_MS, ANSWER_MS_MAX }));

test('who connects and says nothing does not keep the place of others', async () => {
  Object.assign(ScalerListener, { ASKED_AFTER_MS: 20, ANSWER_MS_MAX: 20 });
  const listener = new ScalerListener({
    queues: {} as never,
    clock: systemClock,
    metrics: new PlainMetrics(),
    tls: undefined,
  });
  const socket = connect(await listener.listen('127.0.0.1', 0), '127.0.0.1');
  socket.resume();
  await once(socket, 'close');
  expect(socket.destroyed).toBe(true);
  await listener.close();
});
