import { afterEach, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType } from '@sluice/mqtt/codec/packet';
import type { ByteSink } from '../src/connection/byte-channel.ts';
import { IngressPacer } from '../src/listener/paced-channel.ts';
import type { RawClient } from './doubles/raw-client.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

/** Who sends more than it may is read more slowly; everything it sent arrives, and others do not feel it. */
const NO_RATES = { clientMessages: 0, clientBytes: 0, listenerMessages: 0, listenerBytes: 0 };
let gateway: TestGateway;
afterEach(() => gateway?.stop());

const publish = (packetId: number, sizeBytes = 1): Packet => ({
  type: PacketType.PUBLISH,
  topic: 't',
  payload: new Uint8Array(sizeBytes),
  qos: 1,
  retain: false,
  dup: false,
  packetId,
});
/** Or the first would stop those that come behind. */
const inOnePiece = (count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => encode(publish(i + 1), 5)));
const answered = (client: RawClient): number => client.packets.filter(({ type }) => type === PacketType.PUBACK).length;

test('messages: the second’s burst at once, then none until time passes; none is lost', async () => {
  gateway = await TestGateway.start({ rates: { ...NO_RATES, clientMessages: 20 } });
  const eager = await gateway.raw();
  await eager.hello('eager');
  const calm = await gateway.raw();
  await calm.hello('calm');
  // What is in a chunk already is not stopped half way; it is paid for, with some nine seconds here.
  eager.socket.write(inOnePiece(200));
  await until(() => answered(eager) === 200);
  eager.send(publish(201));
  calm.send(publish(1));
  await until(() => answered(calm) === 1);
  expect(answered(eager)).toBe(200);
  gateway.clock.shiftMs += 60_000;
  await until(() => answered(eager) === 201);
  expect(gateway.counter('paced_seconds_total')).toBeGreaterThan(0);
});

test('keep-alive does not run while a client is over its rate: what it sends then is not heard', async () => {
  gateway = await TestGateway.start({ rates: { ...NO_RATES, clientMessages: 1 } });
  const eager = await gateway.raw();
  await eager.hello('eager', { keepAliveS: 10 });
  eager.socket.write(inOnePiece(200));
  await until(() => answered(eager) === 200);
  eager.send({ type: PacketType.PINGREQ });
  gateway.clock.shiftMs += 60_000;
  // Another connection's deadline comes after its own would have.
  const mute = await gateway.raw();
  await until(() => gateway.gateway.counts().connections === 2);
  gateway.clock.shiftMs += 11_000;
  await mute.untilClosed();
  expect(eager.closed).toBe(false);
  gateway.clock.shiftMs += 200_000;
  await until(() => eager.packets.some(({ type }) => type === PacketType.PINGRESP));
});

test('bytes of all clients of a listener together', async () => {
  gateway = await TestGateway.start({ rates: { ...NO_RATES, listenerBytes: 100_000 } });
  const [a, b] = [await gateway.raw(), await gateway.raw()];
  await a.hello('a');
  await b.hello('b');
  a.send(publish(1, 1_000_000));
  const wait = (client: RawClient): Promise<unknown> =>
    until(() => {
      gateway.clock.shiftMs += 500;
      return answered(client) === 1;
    });
  await wait(a);
  b.send(publish(1, 10));
  await wait(b);
  expect(gateway.counter('paced_seconds_total')).toBeGreaterThan(5);
});

test('a channel is read when neither its connection nor its rate minds', () => {
  const calls: string[] = [];
  let nowMs = 0;
  let inner: ByteSink | undefined;
  const channel = {
    transport: 'tcp' as const,
    peerHost: '',
    peerName: '',
    bufferedBytes: 0,
    open: (sink: ByteSink) => {
      inner = sink;
    },
    write: () => {},
    pause: () => void calls.push('pause'),
    resume: () => void calls.push('resume'),
    end: () => void calls.push('end'),
    destroy: () => {},
  };
  const rates = { ...NO_RATES, clientBytes: 10 };
  const pacer = new IngressPacer({ rates, nowMs: () => nowMs, paused: () => {} });
  const paced = pacer.forListener()?.(channel) as ReturnType<NonNullable<ReturnType<IngressPacer['forListener']>>>;
  const sink: ByteSink = {
    pieceBytesMax: 5,
    bytes: () => {},
    lent: () => {},
    room: undefined,
    filled: () => {},
    misused: () => {},
    drained: () => {},
    closed: () => {},
  };
  paced.open(sink);
  inner?.bytes(new Uint8Array(20));
  expect(calls).toEqual(['pause']);
  paced.pause();
  nowMs = 5_000;
  expect((paced as unknown as { goOn(now: number): number | undefined }).goOn(nowMs)).toBeGreaterThan(0);
  expect(calls).toEqual(['pause', 'pause']);
  paced.resume();
  expect(calls).toEqual(['pause', 'pause', 'resume']);
  inner?.bytes(new Uint8Array(20));
  paced.resume();
  expect(calls.slice(3)).toEqual(['pause']);
  paced.end();
  expect(calls.slice(4)).toEqual(['resume', 'end']);
  inner?.closed();
  expect(new IngressPacer({ rates: NO_RATES, nowMs: () => 0, paused: () => {} }).forListener()).toBeUndefined();
});
