import { afterEach, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { AdmissionEnds } from '../src/connection/admission-ends.ts';
import { TestGateway, until } from './doubles/test-gateway.ts';

let gateway: TestGateway | undefined;
afterEach(() => gateway?.stop());

test('each is told once, when its time has come and not before; who left is not', () => {
  const ends = new AdmissionEnds();
  const told: string[] = [];
  const one = (name: string) => ({ admissionOver: () => void told.push(name) });
  const [a, b, c] = [one('a'), one('b'), one('c')];
  ends.add(a, 10_000);
  ends.add(b, 10_400);
  ends.add(c, 10_600);
  ends.delete(c, 10_600);
  ends.advance(9_999);
  expect(told).toEqual([]);
  ends.advance(10_999);
  expect(told).toEqual(['a']);
  ends.advance(60_000);
  ends.advance(70_000);
  expect(told).toEqual(['a', 'b']);
  expect(ends.size).toBe(0);
});

test('a connection ends with what let it in', async () => {
  let expiresAtMs = 0;
  gateway = await TestGateway.start(
    {},
    {
      method: 'token',
      authenticate: () => ({ reasonCode: 0, identity: 'ann', expiresAtMs }),
    },
  );
  const { clock } = gateway;
  expiresAtMs = clock.nowMs() + 3_600_000;
  const client = await gateway.raw();
  await client.hello('x');
  clock.shiftMs += 3_601_500;
  expect(await client.next()).toMatchObject({ type: PacketType.DISCONNECT, reasonCode: 0x87 });
  await until(() => client.closed);
});
