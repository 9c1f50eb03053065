import { expect, test } from '@jest/globals';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { QueueCheck } from '../src/check/queue-check.ts';
import { RetainedCheck } from '../src/check/retained-check.ts';
import { SessionCheck } from '../src/check/session-check.ts';
import type { GatewayNode } from '../src/cluster/gateway-node.ts';
import { Draw } from '../src/draw.ts';
import type { SessionKnobs } from '../src/sessions/session-knobs.ts';
import type { SocketClient } from '../src/sessions/sim-socket.ts';
import { WillClient } from '../src/sessions/will-client.ts';
import { WillTrail } from '../src/sessions/will-trail.ts';
import { SimWorld } from '../src/sim-world.ts';

/** In their order; a gateway answers those that want nothing kept after `discardMs`, and all others soon. */
async function connects(discardMs: number): Promise<{ clientId: string; keepsNothing: boolean }[]> {
  const world = new SimWorld(1);
  const draw = new Draw(world.prng);
  const seen: { clientId: string; keepsNothing: boolean }[] = [];
  const connect = (_name: string, client: SocketClient) => {
    const decoder = new Decoder({ maximumPacketSizeBytes: 1024, role: 'server' });
    return {
      send(bytes: Uint8Array): void {
        decoder.push(bytes);
        const packet = decoder.next();
        if (packet?.type !== PacketType.CONNECT) return;
        const { clientId, cleanStart, will, properties, protocolVersion } = packet;
        const keepsNothing = cleanStart && will === undefined && (properties?.sessionExpiryIntervalS ?? 0) === 0;
        seen.push({ clientId, keepsNothing });
        const answer = encode({ type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0 }, protocolVersion);
        world.after(keepsNothing ? discardMs : 10, world.outside, () => client.bytes(answer));
      },
      close(): void {},
      vanish(): void {},
    };
  };
  const trail = new WillTrail({
    world,
    draw,
    sessions: new SessionCheck(() => false),
    queueCheck: new QueueCheck(() => false),
    retained: new RetainedCheck(),
    queues: () => [{ queueId: 1, topicFilter: 't/a' }],
    mayLose: () => true,
  });
  const gateways = [{ state: 'up', life: { name: 'g1.1' }, mqtt: { connect } }] as unknown as GatewayNode[];
  const knobs = { willEveryMs: 300 } as SessionKnobs;
  new WillClient('w', { world, draw, knobs, gateways, trail }).begin();
  await world.run(1_500_000);
  return seen;
}

// Sessions seed 2260167: its session was still there for the connection behind a clean start that no store had heard of.
test('a clean start that its gateway let in without a store is the last under its client id', async () => {
  for (const [discardMs, goOn] of [
    [1_000, false],
    [900, true],
  ] as const) {
    const seen = await connects(discardMs);
    const discards = [...seen.entries()].filter(([, { keepsNothing }]) => keepsNothing).slice(0, -1);
    expect(discards.length).toBeGreaterThan(3);
    const goesOn = discards.some(([i, { clientId }]) => seen.slice(i + 1).some((next) => next.clientId === clientId));
    expect(goesOn).toBe(goOn);
  }
});
