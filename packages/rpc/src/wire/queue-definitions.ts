import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { definitionOf, hasSameSettings, type SettingsPart } from '@sluice/meta/compact-definition';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { wireInvalid } from './codec.ts';
import { parseJson } from './json.ts';
import { anyObject } from './shape.ts';

/** Id, two texts, partitions, version, time and settings, of a byte or more each. */
const QUEUE_BYTES_MIN = 7;

/**
 * Definitions of many queues: each distinct set of settings once, as JSON, so that a hundred thousand queues that were
 * made alike take some dozen bytes each instead of half a kilobyte.
 */
export function packQueueDefinitions(queues: readonly QueueDefinition[]): Uint8Array {
  const settingsAt = new Map<string, number>();
  const list = new ByteWriter(64 + queues.length * 64);
  let before: QueueDefinition | undefined;
  let at = 0;
  for (const queue of queues) {
    const { queueId, name, topicFilter, partitions, version, createdAtMs } = queue;
    // Queues that were made one after the other are mostly alike: their settings are not made into JSON to find that out.
    if (before === undefined || !hasSameSettings(before, queue)) at = settingsAtOf(queue, settingsAt);
    before = queue;
    list.varint(queueId).text(name).text(topicFilter).varint(partitions.length);
    for (const partition of partitions) list.varint(partition);
    list.varint(version).varint(createdAtMs).varint(at);
  }
  const packed = new ByteWriter(list.length + 1024).varint(settingsAt.size);
  for (const json of settingsAt.keys()) packed.text(json);
  return packed.varint(queues.length).raw(list.finish()).finish();
}

function settingsAtOf(queue: QueueDefinition, settingsAt: Map<string, number>): number {
  const { queueId, name, topicFilter, partitions, version, createdAtMs, ...settings } = queue;
  const json = JSON.stringify(settings);
  const known = settingsAt.get(json);
  if (known !== undefined) return known;
  settingsAt.set(json, settingsAt.size);
  return settingsAt.size - 1;
}

export function unpackQueueDefinitions(bytes: Uint8Array): QueueDefinition[] {
  const reader = new ByteReader(bytes);
  const settings: SettingsPart[] = [];
  const settingsCount = countOf(reader, 1);
  for (let i = 0; i < settingsCount; i++) {
    const value = parseJson(reader.sized());
    anyObject(value, 'settings of queues');
    settings.push(value as SettingsPart);
  }
  const count = countOf(reader, QUEUE_BYTES_MIN);
  const queues: QueueDefinition[] = [];
  for (let i = 0; i < count; i++) {
    const queueId = reader.varint();
    const name = reader.text();
    const topicFilter = reader.text();
    const partitions: number[] = [];
    const partitionCount = countOf(reader, 1);
    for (let k = 0; k < partitionCount; k++) partitions.push(reader.varint());
    const version = reader.varint();
    const createdAtMs = reader.varint();
    const shared = settings[reader.varint()];
    if (shared === undefined) throw wireInvalid(`queue ${queueId} has no settings`);
    queues.push(definitionOf({ queueId, name, topicFilter, partitions, version, createdAtMs }, shared));
  }
  if (reader.remaining > 0) throw wireInvalid('bytes behind the last queue');
  return queues;
}

function countOf(reader: ByteReader, sizeMin: number): number {
  const count = reader.varint();
  if (count * sizeMin > reader.remaining) throw wireInvalid(`${count} items do not fit`);
  return count;
}
