import { anyFlag, anyInteger, anyText, listOf, objectOf, oneOf } from './shape.ts';

const registration = {
  incarnation: anyText,
  name: anyText,
  address: anyText,
  roles: listOf(oneOf('gateway', 'store', 'coordinator')),
  rack: anyText,
  version: anyText,
  mqttAddress: anyText,
};

export const nodeRegistrationShape = objectOf(registration);

export const nodeInfoShape = objectOf({
  ...registration,
  nodeId: anyInteger,
  state: oneOf('active', 'draining', 'leaving', 'gone'),
});

export const partitionInfoShape = objectOf({
  partition: anyInteger,
  replicas: listOf(anyInteger),
  preferredLeader: anyInteger,
  bootstrap: anyFlag,
});
