import type { PlantedBugs } from './planted-bug.ts';

/** Jobs between a queue and workers that speak MQTT: for the few seeds of the simulator. */
export const SIMULATED_WORKER_BUGS: PlantedBugs = {
  tests: 'packages/sim/test/workers.test',
  bugs: [
    {
      name: 'simulated: a job that its worker refuses is finished',
      file: 'packages/mqtt/src/protocol/handle-ack.ts',
      find: 'settle(session, outbound, isAccepted(packet.reasonCode));',
      put: 'settle(session, outbound, true);',
    },
    {
      name: 'simulated: who is gone keeps its jobs',
      file: 'packages/gateway/src/deliver/queue-consumer-link.ts',
      find: '    this.detached = true;\n    this.#attachment.detach();\n',
      put: '    this.detached = true;\n',
    },
    {
      name: 'simulated: more is drawn for a worker than it may hold',
      file: 'packages/gateway/src/deliver/gateway-session.ts',
      find: 'Math.max(1, Math.floor(this.queueWindow / Math.max(1, queues)))',
      put: '65_535',
    },
    {
      name: 'simulated: a job says that it was handed out once more',
      file: 'packages/gateway/src/deliver/queued-message.ts',
      find: 'String(deliveryCount)]',
      put: 'String(deliveryCount + 1)]',
    },
    {
      name: 'simulated: a job is finished when it is sent',
      file: 'packages/gateway/src/deliver/queue-consumer-link.ts',
      find: 'const message = new QueuedMessage(this, delivery);',
      put: 'const message = new QueuedMessage(this, delivery);\n      this.#attachment.accept(delivery);',
    },
  ],
};
