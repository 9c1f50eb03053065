import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType, type QoS } from '@sluice/mqtt/codec/packet';
import type {
  ConsumerLink,
  ConsumingLink,
  Driver,
  Link,
  OnEnd,
  PublisherLink,
  PublishingLink,
} from '../load/driver.ts';
import type { Inbox } from '../load/inbox.ts';
import type { Outbox } from '../load/outbox.ts';
import { MqttConnection } from './mqtt-connection.ts';
import { MqttConsumer } from './mqtt-consumer.ts';
import { MqttPublisher } from './mqtt-publisher.ts';

/** Where this driver is, for a plan. */
export const MQTT_DRIVER: string = import.meta.url;

const REFUSED_FROM = 0x80;
const SESSION_EXPIRY_S = 3_600;
const SUBSCRIBED_AT_ONCE_MAX = 200;

/**
 * Options of a link: `version` 4 or 5, `qos` 0 or 1, `session` whether it outlives the connection, `username`,
 * `password`.
 */
export const driver: Driver = {
  async publisher(link: PublisherLink, outbox: Outbox, onEnd: OnEnd): Promise<PublishingLink> {
    const options = { cleanStart: true, receiveMaximum: 1, sessionExpiryS: 0 };
    const connection = await MqttConnection.open(link, options, onEnd);
    if (link.window > connection.receiveMaximum) {
      throw new Error(
        `the broker takes ${connection.receiveMaximum} unanswered messages, the window is ${link.window}`,
      );
    }
    const publisher = new MqttPublisher(connection, link, outbox, qosOf(link));
    connection.read(publisher);
    return publisher;
  },

  async consumer(link: ConsumerLink, inbox: Inbox, onEnd: OnEnd): Promise<ConsumingLink> {
    const isKept = link.options.session === true;
    const options = {
      cleanStart: !isKept,
      receiveMaximum: link.prefetch,
      sessionExpiryS: isKept ? SESSION_EXPIRY_S : 0,
    };
    const connection = await MqttConnection.open(link, options, onEnd);
    const consumer = new MqttConsumer(connection, inbox);
    inbox.attach(consumer);
    // Deliveries may come before the SUBACK.
    connection.read(consumer);
    for (let i = 0; i < link.sources.length; i += SUBSCRIBED_AT_ONCE_MAX) {
      const filters = link.sources.slice(i, i + SUBSCRIBED_AT_ONCE_MAX);
      const suback = connection.answer(PacketType.SUBACK);
      connection.write(subscribe(filters, qosOf(link), connection.version));
      const answer = await suback;
      if (answer.type !== PacketType.SUBACK || answer.reasonCodes.some((code) => code >= REFUSED_FROM)) {
        throw new Error(`${link.clientId}: a subscription was refused, ${filters[0]} or one of ${filters.length}`);
      }
    }
    return consumer;
  },

  async idler(link: Link) {
    const options = { cleanStart: true, receiveMaximum: 10, sessionExpiryS: 0 };
    return await MqttConnection.open(link, options, () => {});
  },
};

function qosOf(link: Link): QoS {
  return link.options.qos === 0 ? 0 : 1;
}

function subscribe(filters: readonly string[], qos: QoS, version: 4 | 5): Uint8Array {
  const how = { qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const };
  const subscriptions = filters.map((filter) => ({ filter, ...how }));
  return encode({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions }, version);
}
