import type { LiveMessage, LiveSubscriber, LiveSubscription } from '@sluice/gateway/live/live-router';
import { parseTopicFilter } from '@sluice/mqtt/topic/topic-filter';

export class RecordingSubscriber implements LiveSubscriber {
  readonly clientId: string;
  ready = true;
  readonly received: [topic: string, identifier: number | undefined][] = [];
  onReceive: () => void = () => {};

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  receive(message: LiveMessage, subscription: LiveSubscription): void {
    this.received.push([message.topic, subscription.identifier]);
    this.onReceive();
  }

  take(): [topic: string, identifier: number | undefined][] {
    return this.received.splice(0);
  }
}

export function publish(topic: string, overrides: Partial<LiveMessage> = {}): LiveMessage {
  return {
    topic,
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    properties: undefined,
    publisher: 'publisher',
    expiresAtMs: 0,
    ...overrides,
  };
}

export function subscription(
  topicFilter: string,
  overrides: { identifier?: number; noLocal?: boolean; retainHandling?: 0 | 1 | 2 } = {},
): LiveSubscription {
  const request = parseTopicFilter(topicFilter);
  if (request.kind !== 'plain' && request.kind !== 'shared') throw new Error(`not a live filter: ${topicFilter}`);
  const { identifier, noLocal = false, retainHandling = 0 } = overrides;
  return {
    topicFilter,
    filter: request.filter,
    group: request.kind === 'shared' ? request.group : undefined,
    qos: 1,
    noLocal,
    retainAsPublished: false,
    retainHandling,
    identifier,
  };
}
