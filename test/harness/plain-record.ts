import type { RecordInput, RecordTarget } from '@sluice/queue/record/record';

/** A record that never expires, has no properties and nothing in it: tests say what they want otherwise. */
export function plainRecord(targets: readonly RecordTarget[], over: Partial<RecordInput> = {}): RecordInput {
  return {
    targets,
    topic: 't',
    payload: new Uint8Array(0),
    qos: 1,
    retain: false,
    publisher: 'p',
    publishedAtMs: 1,
    expiresAtMs: 0,
    properties: undefined,
    ...over,
  };
}
