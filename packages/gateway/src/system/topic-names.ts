import type { SystemFacts } from './system-facts.ts';

/** Topic and payload, which is text as both brokers have it. */
export type Said = readonly [topic: string, text: string];

/** EMQX's names. A node's name is one level there as here: slashes and wildcards in it would be others. */
export function topicsOfNode(facts: SystemFacts): Said[] {
  const root = `$SYS/brokers/${facts.node.replace(/[/+#]/g, '_')}`;
  return [
    ['$SYS/brokers', facts.nodes.join(',')],
    [`${root}/version`, facts.version],
    [`${root}/sysdescr`, DESCRIPTION],
    [`${root}/uptime`, `${facts.uptimeS * 1000}`],
    [`${root}/datetime`, new Date(facts.nowMs).toISOString()],
    [`${root}/stats/connections/count`, `${facts.connections}`],
    [`${root}/stats/connections/max`, `${facts.connectionsMost}`],
    [`${root}/stats/sessions/count`, `${facts.sessions}`],
    [`${root}/stats/subscriptions/count`, `${facts.subscriptions}`],
    [`${root}/stats/subscriptions/shared/count`, `${facts.sharedSubscriptions}`],
    [`${root}/metrics/bytes/received`, `${facts.bytesReceived}`],
    [`${root}/metrics/bytes/sent`, `${facts.bytesSent}`],
    [`${root}/metrics/packets/received`, `${facts.packetsReceived}`],
    [`${root}/metrics/packets/sent`, `${facts.packetsSent}`],
    [`${root}/metrics/messages/received`, `${facts.publishesReceived}`],
    [`${root}/metrics/messages/sent`, `${facts.publishesSent}`],
    [`${root}/metrics/messages/dropped`, `${facts.publishesDropped}`],
  ];
}

/** mosquitto's names. How many messages are retained no node knows: they are the stores'. */
export function topicsOfBroker(facts: SystemFacts): Said[] {
  return [
    ['$SYS/broker/version', `sluice version ${facts.version}`],
    ['$SYS/broker/uptime', `${facts.uptimeS} seconds`],
    ['$SYS/broker/clients/connected', `${facts.connections}`],
    ['$SYS/broker/clients/active', `${facts.connections}`],
    ['$SYS/broker/clients/maximum', `${facts.connectionsMost}`],
    ['$SYS/broker/clients/total', `${facts.sessions}`],
    ['$SYS/broker/subscriptions/count', `${facts.subscriptions}`],
    ['$SYS/broker/shared_subscriptions/count', `${facts.sharedSubscriptions}`],
    ['$SYS/broker/bytes/received', `${facts.bytesReceived}`],
    ['$SYS/broker/bytes/sent', `${facts.bytesSent}`],
    ['$SYS/broker/messages/received', `${facts.packetsReceived}`],
    ['$SYS/broker/messages/sent', `${facts.packetsSent}`],
    ['$SYS/broker/publish/messages/received', `${facts.publishesReceived}`],
    ['$SYS/broker/publish/messages/sent', `${facts.publishesSent}`],
    ['$SYS/broker/publish/messages/dropped', `${facts.publishesDropped}`],
  ];
}

const DESCRIPTION = 'Sluice, a clustered MQTT broker with native durable message queues';
