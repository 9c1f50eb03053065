import type { ConsumersPlan, PublishersPlan } from '../load/load-plan.ts';
import type { Channel, ChannelNeed, Way } from './peer.ts';
import type { Flow } from './workload.ts';

/** What a flow means for the processes of the load. */

export function needOf(flow: Flow, name: string): ChannelNeed {
  const { channel, qos, keys, prefetch, payloadBytes } = flow;
  return { kind: channel, name, qos, keys, prefetch, payloadBytes };
}

export interface PublishingOptions {
  run: number;
  /** Of all publishers together. */
  perSecond: number;
  /** Of all publishers together; 0 for no end. */
  messagesMax: number;
}

export function publishersOf(flow: Flow, channel: Channel, options: PublishingOptions): PublishersPlan {
  const { publish } = channel;
  const names = Array.from({ length: flow.publishers }, (_, i) => `publisher-${options.run}-${i}`);
  return {
    side: 'publishers',
    driver: publish.driver,
    run: options.run,
    window: flow.window,
    perSecond: options.perSecond / flow.publishers,
    messagesMax: Math.ceil(options.messagesMax / flow.publishers),
    keys: keysEach(flow),
    backlogMax: flow.backlogMax,
    links: names.map((clientId, i) => ({
      address: addressOf(publish, i),
      clientId,
      options: publish.options,
      // The newest of a key is known by one sequence, hence a key has one publisher.
      topics: flow.keys === 1 ? publish.topics : publish.topics.slice(i * keysEach(flow), (i + 1) * keysEach(flow)),
      payloadBytes: flow.payloadBytes,
      window: flow.window,
    })),
  };
}

export function consumersOf(flow: Flow, channel: Channel, run: number): ConsumersPlan {
  const { consume } = channel;
  const names = Array.from({ length: flow.consumers }, (_, i) => `consumer-${run}-${i}`);
  return {
    side: 'consumers',
    driver: consume.driver,
    run,
    latestKeys: flow.channel === 'last-value' ? keysEach(flow) : 0,
    orderedKeys: flow.channel === 'queues' ? keysEach(flow) : 1,
    links: names.map((clientId, i) => ({
      address: addressOf(consume, i),
      clientId,
      options: consume.options,
      sources: sharedOut(consume.sources, i, flow.consumers),
      prefetch: flow.prefetch,
      // Whoever shares a queue is one audience; who subscribes for himself is one alone.
      audience: flow.channel === 'fan-out' ? i : 0,
      workMs: flow.workMs[i % flow.workMs.length] as number,
    })),
  };
}

/** Every queue has a consumer, and the same number as its neighbour where there are more consumers than queues. */
function sharedOut(sources: readonly string[], consumer: number, consumers: number): string[] {
  const among = Math.min(consumers, sources.length);
  return sources.filter((_, i) => i % among === consumer % among);
}

/** Of one publisher. */
function keysEach({ keys, publishers }: Flow): number {
  return Math.max(1, Math.floor(keys / publishers));
}

function addressOf(way: Way, client: number) {
  return way.addresses[client % way.addresses.length] as Way['addresses'][number];
}
