import { ACCESS_ACTIONS } from '@sluice/meta/access/access-rule';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import { DISPATCH_STRATEGIES, OVERFLOW_POLICIES } from '@sluice/meta/queue-definition';
import { wireInvalid } from './codec.ts';
import { nodeInfoShape, nodeRegistrationShape, partitionInfoShape } from './node-shapes.ts';
import {
  anyAmount,
  anyFlag,
  anyInteger,
  anyObject,
  anyText,
  type Check,
  listOf,
  maybe,
  objectOf,
  oneOf,
} from './shape.ts';

/**
 * What a command must look like before it may become an entry of the metadata. The machine believes its entries: what it trips
 * over stops every coordinator, and each of them again at its next start, since the entry stays where it is. So it is
 * looked at while it is a question that can be refused.
 *
 * Kinds that are not known here are for the encoder to refuse, which says which they are.
 */
export const metaCommandShape: Check = (value, where) => {
  objectOf({ kind: anyText })(value, where);
  SHAPES.get((value as { kind: string }).kind)?.(value, where);
};

function orNull(check: Check): Check {
  return (value, where) => {
    if (value !== null) check(value, where);
  };
}

const draftShape = objectOf({
  name: anyText,
  topicFilter: anyText,
  isLastValue: anyFlag,
  keyExpression: orNull(anyText),
  dispatchStrategy: oneOf(...DISPATCH_STRATEGIES),
  dataRetentionMs: anyAmount,
  limits: objectOf({
    countMax: orNull(anyAmount),
    bytesMax: orNull(anyAmount),
    overflow: oneOf(...OVERFLOW_POLICIES),
  }),
  localMaxInflight: anyAmount,
  redispatchIntervalMs: anyAmount,
  lagObjectiveMs: maybe(orNull(anyAmount)),
  partitionCount: (value, where) => {
    anyInteger(value, where);
    if (value === 0) throw wireInvalid(`${where} is none`);
  },
});

const falseOrTemplate: Check = (value, where) => {
  if (value !== false) anyObject(value, where);
};

const tableShape = oneOf('user', 'rules', 'ban');
const rowValueShapes: Readonly<Record<string, Check>> = {
  user: objectOf({ hash: anyText, scram: maybe(anyText), isSuperuser: anyFlag }),
  rules: objectOf({
    rules: listOf(
      objectOf({
        permission: oneOf('allow', 'deny'),
        action: oneOf(...ACCESS_ACTIONS),
        topic: anyText,
        qos: maybe(listOf(anyInteger)),
        retain: maybe(anyFlag),
      }),
    ),
  }),
  ban: objectOf({ by: anyText, reason: anyText, atMs: anyAmount, untilMs: anyAmount }),
};
const rowShape: Check = (value, where) => {
  objectOf({ table: tableShape, key: anyText })(value, where);
  const row = value as { table: string; value?: unknown };
  rowValueShapes[row.table]?.(row.value, `${where}.value`);
};

type Fields<K extends MetaCommand['kind']> = {
  readonly [F in Exclude<keyof Extract<MetaCommand, { kind: K }>, 'kind'>]: Check;
};

/** A check for each field of each command: one that is added does not compile until it is here, too. */
const FIELDS: { readonly [K in MetaCommand['kind']]: Fields<K> } = {
  'form-cluster': {
    clusterId: anyText,
    partitionCount: anyInteger,
    replicationFactor: anyInteger,
    queueCountMax: anyInteger,
    founders: listOf(nodeInfoShape),
  },
  'define-queue': { queue: draftShape },
  'update-queue': { queueId: anyInteger, expectedVersion: anyInteger, queue: draftShape },
  'remove-queue': { queueId: anyInteger },
  'set-config': {
    config: objectOf({
      queueCountMax: anyInteger,
      autoCreate: objectOf({ regular: falseOrTemplate, lastValue: falseOrTemplate }),
    }),
  },
  'register-node': { node: nodeRegistrationShape, nodeId: anyInteger },
  'set-node-state': { nodeId: anyInteger, state: oneOf('active', 'draining', 'leaving', 'gone') },
  'place-partitions': { placements: listOf(partitionInfoShape), expectedEpoch: anyInteger },
  'partition-formed': { partition: anyInteger },
  'set-replication-factor': { replicationFactor: anyInteger },
  'put-access': { row: rowShape, expect: oneOf('new', 'existing', 'any'), rowsMax: anyInteger },
  'remove-access': { table: tableShape, key: anyText },
  'raise-feature-level': { level: anyInteger, expectedEpoch: anyInteger },
  'hold-feature-level': { isHeld: anyFlag },
};

const SHAPES: ReadonlyMap<string, Check> = new Map(
  Object.entries<Readonly<Record<string, Check>>>(FIELDS).map(([kind, fields]) => [kind, objectOf(fields)]),
);
