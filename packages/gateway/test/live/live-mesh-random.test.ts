import { expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { TurnFlusher } from '@sluice/gateway/connection/turn-flusher';
import { LiveMesh } from '@sluice/gateway/live/live-mesh';
import { LiveMeshMetrics } from '@sluice/gateway/live/live-mesh-metrics';
import { LiveRouter } from '@sluice/gateway/live/live-router';
import { RetainedInFlight } from '@sluice/gateway/retained/retained-in-flight';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { matches, parseTopicFilter } from '@sluice/mqtt/topic/topic-filter';
import { InprocNetwork } from '@sluice/rpc/inproc/inproc-network';
import fc from 'fast-check';
import { until } from '../doubles/test-gateway.ts';
import { RecordingSubscriber, subscription } from './fixtures.ts';

const NODES = [1, 2, 3];
const FILTERS = ['a', 'a/+', '#', '$share/g/a', '$share/g/a/+', '$share/h/#'];
const TOPICS = ['a', 'a/b', 'c'];

/** A gateway without sockets. Its time goes by when the test says so. */
class Node {
  readonly live = new LiveRouter();
  readonly flusher = new TurnFlusher();
  readonly mesh: LiveMesh;
  shiftMs = 0;

  constructor(network: InprocNetwork, nodeId: number) {
    const transport = network.node(nodeId);
    this.mesh = new LiveMesh({
      nodeId,
      transport,
      live: this.live,
      retainedInFlight: new RetainedInFlight(),
      flusher: this.flusher,
      clock: { nowMs: () => systemClock.nowMs(), monotonicMs: () => systemClock.monotonicMs() + this.shiftMs },
      logger: silentLogger,
      metrics: new LiveMeshMetrics(new PlainMetrics()),
      connectedElsewhere: () => undefined,
    });
    this.mesh.serve(transport);
  }

  publish(topic: string, payload: string): number {
    const packet = { type: PacketType.PUBLISH, topic, payload: Buffer.from(payload), qos: 1, retain: false } as const;
    const message = new PublishedMessage({ ...packet, dup: false, packetId: 0 }, 'p', 1);
    return this.live.route(message) + this.mesh.forward(message, 1);
  }

  settle(): void {
    this.shiftMs += 10_000;
    this.mesh.tick();
  }
}

const node = fc.constantFrom(...NODES);
const who = fc.record({ node, name: fc.constantFrom('x', 'y'), filter: fc.constantFrom(...FILTERS) });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('subscribe' as const), who }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('unsubscribe' as const), who }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('leave' as const), who }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('break' as const), a: node, b: node }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cut' as const), a: node, b: node }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), a: node, b: node }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('turn' as const), node }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('publish' as const), node }) },
);

test('after any history, what is published anywhere reaches each subscription once, and each group once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const network = new InprocNetwork({ codecs: true });
      const nodes = new Map(NODES.map((nodeId) => [nodeId, new Node(network, nodeId)]));
      const at = (nodeId: number): Node => nodes.get(nodeId) as Node;
      const everybody = NODES.flatMap((nodeId) =>
        ['x', 'y'].map((name) => ({ nodeId, name, subscriber: new RecordingSubscriber(`${nodeId}${name}`) })),
      );
      const find = (nodeId: number, name: string): RecordingSubscriber =>
        everybody.find((each) => each.nodeId === nodeId && each.name === name)?.subscriber as RecordingSubscriber;
      const held = new Map(everybody.map(({ subscriber }) => [subscriber, new Set<string>()]));
      for (const each of nodes.values()) each.mesh.setPeers(NODES);

      for (const step of steps) {
        switch (step.type) {
          case 'subscribe': {
            const subscriber = find(step.who.node, step.who.name);
            at(step.who.node).live.subscribe(subscriber, subscription(step.who.filter));
            held.get(subscriber)?.add(step.who.filter);
            break;
          }
          case 'unsubscribe': {
            const subscriber = find(step.who.node, step.who.name);
            at(step.who.node).live.unsubscribe(subscriber, step.who.filter);
            held.get(subscriber)?.delete(step.who.filter);
            break;
          }
          case 'leave': {
            const subscriber = find(step.who.node, step.who.name);
            at(step.who.node).live.leave(subscriber);
            held.get(subscriber)?.clear();
            break;
          }
          case 'break':
            if (step.a !== step.b) network.break(step.a, step.b);
            break;
          case 'cut':
            if (step.a !== step.b) network.cut(step.a, step.b);
            break;
          case 'forget':
            if (step.a !== step.b) at(step.a).mesh.setPeers(NODES.filter((nodeId) => nodeId !== step.b));
            break;
          case 'publish':
            at(step.node).publish('a/b', 'early');
            break;
          case 'turn':
            at(step.node).settle();
            await new Promise((resolve) => setImmediate(resolve));
            break;
        }
      }

      // Everything is well again, and known to everybody.
      for (const a of NODES) for (const b of NODES) if (a !== b) network.heal(a, b);
      for (const each of nodes.values()) each.mesh.setPeers(NODES);
      const wanted = (nodeId: number): number => at(nodeId).live.wantedCount;
      const total = NODES.reduce((sum, nodeId) => sum + wanted(nodeId), 0);
      let isQuiet = 0;
      await until(() => {
        for (const each of nodes.values()) each.settle();
        const known = NODES.every(
          (nodeId) => at(nodeId).mesh.peersReached === 2 && at(nodeId).mesh.remoteRoutes === total - wanted(nodeId),
        );
        isQuiet = known && network.openChannels === 6 ? isQuiet + 1 : 0;
        return isQuiet > 3;
      });

      for (const { subscriber } of everybody) subscriber.take();
      for (const nodeId of NODES) {
        for (const topic of TOPICS) {
          const plain: string[] = [];
          const groups = new Map<string, Set<string>>();
          for (const [subscriber, filters] of held) {
            for (const text of filters) {
              const request = parseTopicFilter(text);
              if (request.kind === 'plain' && matches(request.filter, topic)) plain.push(subscriber.clientId);
              if (request.kind === 'shared' && matches(request.filter, topic)) {
                groups.set(text, (groups.get(text) ?? new Set()).add(subscriber.clientId));
              }
            }
          }
          at(nodeId).publish(topic, 'x');
          const count = (): number => everybody.reduce((sum, { subscriber }) => sum + subscriber.received.length, 0);
          await until(count, (n) => n >= plain.length + groups.size);
          await new Promise((resolve) => setImmediate(resolve));
          const got = everybody.flatMap(({ subscriber }) => subscriber.take().map(() => subscriber.clientId));
          // Each ordinary subscription has its copy; the rest are the groups', each to one of its members.
          for (const clientId of plain) {
            expect(got).toContain(clientId);
            got.splice(got.indexOf(clientId), 1);
          }
          expect(got.length).toBe(groups.size);
          for (const clientId of got) {
            expect([...groups.values()].some((members) => members.has(clientId))).toBe(true);
          }
        }
      }
      for (const each of nodes.values()) each.mesh.close();
      await until(() => network.openChannels === 0);
    }),
    { numRuns: 40 },
  );
}, 30_000);
