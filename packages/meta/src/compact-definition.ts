import type { QueueDefinition, QueueLimits } from './queue-definition.ts';
import { NO_LIMITS } from './queue-subsystem-config.ts';

/**
 * Definitions in the form of which a hundred thousand fit into every node. Parsed from JSON or spread together, each would
 * be a hash table of its own, a kilobyte of it. Written out field by field it is a fifth of that, and what most queues
 * have in common is one object for all.
 *
 * What a newer build has added to a definition is not known here and must not be lost: such a one stays as it came.
 */
export function compactDefinition(given: QueueDefinition): QueueDefinition {
  return Object.keys(given).length === OWN_FIELDS + settingsKnown(given) ? writtenOut(given, given) : given;
}

/** What a queue has for itself, with settings that it may share with others. */
export function definitionOf(own: OwnPart, settings: SettingsPart): QueueDefinition {
  return Object.keys(settings).length === settingsKnown(settings) ? writtenOut(own, settings) : { ...settings, ...own };
}

/** True only when all of it is known here; two that share what this build does not know are taken for different. */
export function hasSameSettings(a: QueueDefinition, b: QueueDefinition): boolean {
  return (
    a.isLastValue === b.isLastValue &&
    a.keyExpression === b.keyExpression &&
    a.dispatchStrategy === b.dispatchStrategy &&
    a.dataRetentionMs === b.dataRetentionMs &&
    // Shared where there are none; own limits are rare and written once more.
    a.limits === b.limits &&
    a.localMaxInflight === b.localMaxInflight &&
    a.redispatchIntervalMs === b.redispatchIntervalMs &&
    a.consumerMaxInactiveMs === b.consumerMaxInactiveMs &&
    a.pingIntervalMs === b.pingIntervalMs &&
    a.busySessionRetryIntervalMs === b.busySessionRetryIntervalMs &&
    a.streamMaxBufferSize === b.streamMaxBufferSize &&
    a.streamMaxUnacked === b.streamMaxUnacked &&
    a.consumerPersistenceIntervalMs === b.consumerPersistenceIntervalMs &&
    a.lagObjectiveMs === b.lagObjectiveMs &&
    Object.keys(a).length === OWN_FIELDS + settingsKnown(a) &&
    Object.keys(b).length === OWN_FIELDS + settingsKnown(b)
  );
}

export type OwnPart = Pick<
  QueueDefinition,
  'queueId' | 'name' | 'topicFilter' | 'partitions' | 'version' | 'createdAtMs'
>;
export type SettingsPart = Omit<QueueDefinition, keyof OwnPart>;

const OWN_FIELDS = 6;
/** Of every queue. */
const SETTINGS_FIELDS = 13;

/** How many settings it has that are known here. */
function settingsKnown(settings: SettingsPart): number {
  return settings.lagObjectiveMs === undefined ? SETTINGS_FIELDS : SETTINGS_FIELDS + 1;
}

function writtenOut(own: OwnPart, settings: SettingsPart): QueueDefinition {
  const { limits } = settings;
  const { partitions } = own;
  const definition: QueueDefinition = {
    queueId: own.queueId,
    name: own.name,
    topicFilter: own.topicFilter,
    isLastValue: settings.isLastValue,
    keyExpression: settings.keyExpression,
    dispatchStrategy: settings.dispatchStrategy,
    dataRetentionMs: settings.dataRetentionMs,
    limits: isUnlimited(limits) ? NO_LIMITS : limits,
    localMaxInflight: settings.localMaxInflight,
    redispatchIntervalMs: settings.redispatchIntervalMs,
    consumerMaxInactiveMs: settings.consumerMaxInactiveMs,
    pingIntervalMs: settings.pingIntervalMs,
    busySessionRetryIntervalMs: settings.busySessionRetryIntervalMs,
    streamMaxBufferSize: settings.streamMaxBufferSize,
    streamMaxUnacked: settings.streamMaxUnacked,
    consumerPersistenceIntervalMs: settings.consumerPersistenceIntervalMs,
    partitions: partitions.length === 1 ? onlyIn(partitions[0] as number) : partitions,
    version: own.version,
    createdAtMs: own.createdAtMs,
  };
  if (settings.lagObjectiveMs !== undefined) definition.lagObjectiveMs = settings.lagObjectiveMs;
  return definition;
}

function isUnlimited(limits: QueueLimits): boolean {
  if (limits === NO_LIMITS) return true;
  const { countMax, bytesMax, overflow } = limits;
  const isNone = countMax === null && bytesMax === null && overflow === NO_LIMITS.overflow;
  return isNone && Object.keys(limits).length === Object.keys(NO_LIMITS).length;
}

/** By partition; a cluster has some dozen to some hundred. */
const ONLY: (readonly number[] | undefined)[] = [];
const ONLY_MAX = 4_096;

function onlyIn(partition: number): readonly number[] {
  const known = ONLY[partition];
  if (known !== undefined) return known;
  const only = [partition];
  if (partition < ONLY_MAX) ONLY[partition] = only;
  return only;
}
