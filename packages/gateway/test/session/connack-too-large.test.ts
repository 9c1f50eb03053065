import { afterEach, expect, test } from '@jest/globals';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import { plainSessionAnswer } from '../../../../test/harness/plain-session-answer.ts';
import { StoredSessions } from '../../src/session/stored-sessions.ts';
import { TestGateway } from '../doubles/test-gateway.ts';

let gateway: TestGateway;
afterEach(() => gateway.stop());

test('a CONNECT whose CONNACK its client does not take is refused before the stores are asked for its session', async () => {
  const opened: string[] = [];
  const client = {
    open: async (_partition: number, { clientId }: { clientId: string }) => {
      opened.push(clientId);
      return plainSessionAnswer();
    },
    attach: () => {},
    detach: () => {},
    close: async () => plainSessionAnswer(),
  } as unknown as SessionClient;
  const sessions = new StoredSessions({ client, topology: { partitionCount: 1 }, expiryWithoutPropertyS: 60 });
  gateway = await TestGateway.start({}, undefined, undefined, undefined, sessions);
  const hello = async (clientId: string, maximumPacketSizeBytes: number) => {
    const raw = await gateway.raw();
    return await raw.hello(clientId, { properties: { sessionExpiryIntervalS: 60, maximumPacketSizeBytes } });
  };
  const refused = { type: PacketType.CONNACK, reasonCode: ReasonCode.PACKET_TOO_LARGE };
  expect(await hello('narrow', 8)).toMatchObject(refused);
  expect(opened).toEqual([]);
  expect(await hello('wide', 100)).toMatchObject({ type: PacketType.CONNACK, reasonCode: ReasonCode.SUCCESS });
  expect(opened).toEqual(['wide']);
});
