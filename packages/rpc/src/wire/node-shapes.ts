import { anyFlag, anyInteger, anyText, listOf, maybe, objectOf, oneOf } from './shape.ts';

export const levelRangeShape = objectOf({ min: anyInteger, max: anyInteger });
export const featureLevelShape = objectOf({ level: anyInteger, isHeld: anyFlag });

const registration = {
  incarnation: anyText,
  name: anyText,
  address: anyText,
  roles: listOf(oneOf('gateway', 'store', 'coordinator')),
  rack: anyText,
  version: anyText,
  mqttAddress: anyText,
  levels: maybe(levelRangeShape),
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
