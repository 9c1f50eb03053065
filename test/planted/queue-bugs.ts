import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/queue/src/${file}.ts`,
  find,
  put,
});

export const QUEUE_BUGS: PlantedBugs = {
  tests: 'packages/queue/',
  bugs: [
    // The replicated machine
    bug(
      'machine/apply-append',
      'a full queue takes the record all the same',
      "    builder.reject(records.slot);\n    return 'queue-full';",
      '    queue.refused += 0;',
    ),
    bug(
      'machine/queue-state',
      'a limit lets one record too many in',
      '> this.countMax) ||\n      (this.bytesMax !== null && growthBytes',
      '> this.countMax + 1) ||\n      (this.bytesMax !== null && growthBytes',
    ),
    bug(
      'machine/apply-append',
      'a newer value does not supersede the older one of its key',
      '  if (older !== undefined) supersede(queue, builder, older, rows, effects);\n',
      '',
    ),
    bug(
      'machine/producers',
      'a batch that is sent again is stored again',
      'if (producer === undefined || sequence > last)',
      'if (producer === undefined || sequence >= last)',
    ),
    bug(
      'machine/producers',
      'a batch is taken although the one before it is missing',
      'return after > last && after > answeredTo ? OUT_OF_ORDER : undefined;',
      'return after > last + 1 && after > answeredTo ? OUT_OF_ORDER : undefined;',
    ),
    bug(
      'machine/producers',
      'who is unknown may begin anywhere',
      'return after > last && after > answeredTo ? OUT_OF_ORDER : undefined;',
      'return after > last && after > answeredTo && producer !== undefined ? OUT_OF_ORDER : undefined;',
    ),
    bug(
      'machine/producers',
      'a batch of a producer that was forgotten is never taken again',
      'return after > last && after > answeredTo ? OUT_OF_ORDER : undefined;',
      'return after > last ? OUT_OF_ORDER : undefined;',
    ),
    bug(
      'machine/producers',
      'a refused record that is sent again hears of success',
      "    if (remembered.sequence === sequence) return { type: 'repeated', refused: remembered.refused };",
      '    if (remembered.sequence < sequence) return REPEATED;',
    ),
    bug(
      'machine/producers',
      'refusals are forgotten before the producer has them',
      'const isAnswered = sequence <= origin.answeredTo;',
      'const isAnswered = sequence <= origin.sequence - 1;',
    ),
    bug(
      'machine/producers',
      'refusals are kept without a bound',
      '!isAnswered && producer.refusalCount <= Producers.REFUSALS_MAX',
      '!isAnswered && producer.refusalCount > 0',
    ),
    bug(
      'machine/producers',
      'refusals beyond the bound become successes',
      '      if (!isAnswered) producer.forgottenTo = sequence;\n',
      '',
    ),
    bug(
      'machine/producers',
      'the busiest producer is forgotten',
      'producer.index < silent.index',
      'producer.index > silent.index',
    ),
    bug(
      'machine/producers',
      'the row of a forgotten producer stays',
      '      if (producer === undefined) rows.delete(producerRowKey(id));\n      else rows',
      '      if (producer !== undefined) rows',
    ),
    bug(
      'machine/producers',
      'a batch that was not stored counts as stored',
      'if (known !== undefined && producer !== undefined) this.#note(producer, origin, index);',
      'if (known !== undefined && producer !== undefined) {\n      producer.last = Math.max(producer.last, origin.sequence);\n      this.#note(producer, origin, index);\n    }',
    ),
    bug(
      'machine/queue-machine',
      'a replica that starts anew knows no producers',
      'state.producers.restore(decodeProducerRow(key, value));',
      'decodeProducerRow(key, value);',
    ),
    bug(
      'machine/apply-append',
      'the entry of a repeated batch counts as live',
      "      effects.push({ type: 'entry-dead', index, bytes: data.length });\n",
      '',
    ),
    bug(
      'machine/producer-row',
      'only the first refusal of a row of them is kept',
      '      for (let i = 0; i < count; i++) refused.push({ slot: slot + i, queueId, code });',
      '      if (count > 0) refused.push({ slot, queueId, code });',
    ),
    bug(
      'machine/apply-append',
      'dispatch is not told that a value was superseded',
      "  effects.push({ type: 'superseded', queueId: queue.queueId, offset: older.offset });\n",
      '',
    ),
    bug(
      'machine/apply-append',
      'the row of a superseded value is not written back',
      '      if (row.isChanged) writeBack(queue, row, rows, effects);',
      '      if (row.isChanged && row.count < 0) writeBack(queue, row, rows, effects);',
    ),
    bug(
      'machine/apply-append',
      'a removed queue takes records',
      '  if (queue.isRemoved) {\n    queue.refused++;',
      '  if (queue.isRemoved && queue.depth < 0) {\n    queue.refused++;',
    ),
    bug(
      'machine/settle-record',
      'the key of a settled value stays',
      '  rows.delete(rowKey);\n  queue.keyCount--;',
      '  queue.keyCount--;',
    ),
    bug(
      'machine/settle-record',
      'depth counts settled records',
      '  queue.depth--;\n  queue.depthBytes -= row.sizeBytesOf(offset);',
      '  queue.depthBytes -= row.sizeBytesOf(offset);',
    ),
    bug(
      'machine/settle-record',
      'an entry dies while another queue still has records in it',
      '    if (entry.rowCount > 1) {',
      '    if (entry.rowCount > 2) {',
    ),
    bug(
      'machine/settle-record',
      'a row leaves although some of it is live',
      '  if (row.liveCount > 0) {',
      '  if (row.liveCount > 1) {',
    ),
    bug(
      'machine/apply-settle',
      'a settled record is settled again',
      'for (let offset = row.nextLive(range.from); offset !== -1 && offset < to; offset = row.nextLive(offset + 1)) {',
      'for (let offset = range.from; offset < to; offset++) {',
    ),
    bug(
      'machine/apply-settle',
      'a range that is settled ends one too late',
      'offset !== -1 && offset < to; offset = row.nextLive(offset + 1)',
      'offset !== -1 && offset <= to; offset = row.nextLive(offset + 1)',
    ),
    bug(
      'machine/apply-settle',
      'a record given back counts as consumed',
      '      row.return(offset);\n      queue.returned++;\n      continue;',
      '      row.return(offset);\n      queue.returned++;',
    ),
    bug('machine/apply-settle', 'the head moves back', 'head <= queue.head || head > queue.tail', 'head > queue.tail'),
    bug(
      'machine/apply-config',
      'late news of a queue undoes newer ones',
      'config.version <= known.version ||',
      'config.version < 0 ||',
    ),
    bug(
      'machine/apply-config',
      'a removed queue comes back',
      'if (known.isRemoved || config.version',
      'if (config.version',
    ),
    bug(
      'machine/apply-drop',
      'a trim drops the last row beyond its end',
      'offset !== -1 && offset < end; offset = row.nextLive(offset + 1)) {\n      releaseKey',
      'offset !== -1; offset = row.nextLive(offset + 1)) {\n      releaseKey',
    ),
    bug(
      'machine/index-row',
      'the delivery count does not rise',
      '(returned[at + 1] as number) + 1;',
      '(returned[at + 1] as number);',
    ),
    bug(
      'machine/index-row',
      'a message expires a millisecond early',
      'this.appendedAtMs + expiry - 1;',
      'this.appendedAtMs + expiry - 2;',
    ),

    // Dispatch
    bug(
      'dispatch/consumer-credit',
      'a consumer gets one record more than its window',
      'this.window > this.held && this.heldBytes < this.#bytesMax ? this.window - this.held : 0;',
      'this.window >= this.held && this.heldBytes < this.#bytesMax ? this.window + 1 - this.held : 0;',
    ),
    bug(
      'dispatch/dispatcher',
      'what a lost consumer held is not given to others',
      '      this.#waiting.addForAnybody(record);\n      returned.push(record.ref);',
      '      this.#records.remove(record);\n      returned.push(record.ref);',
    ),
    bug(
      'dispatch/dispatcher',
      'a consumer that lost a record may still settle it',
      'return record?.holder?.consumerId === consumerId ? record : undefined;',
      'return record?.holder === undefined && consumerId > 0 ? undefined : record;',
    ),
    bug('dispatch/dispatcher', 'a superseded value is delivered again', '      record.superseded = true;\n', ''),
    bug(
      'dispatch/dispatcher',
      'a rejected record goes back to its rejecter while others wait',
      'if (this.#passesOver(rejecter)) this.#waiting.addForOthers(record, rejecter);\n    else this.#waiting.addDelayed(record);',
      'this.#waiting.addForAnybody(record);',
    ),
    bug(
      'dispatch/dispatcher',
      'who is alone gets what it rejected back at once',
      'record.dueMs = nowMs + this.#redispatchIntervalMs;',
      'record.dueMs = nowMs;',
    ),
    bug(
      'dispatch/dispatcher',
      'a record is redelivered with the count of the first time',
      "    record.ref.deliveryCount++;\n    record.cause = 'rejected';",
      "    record.cause = 'rejected';",
    ),
    bug(
      'dispatch/redelivery-queue',
      'what was given back is handed out in any order',
      'return a.ref.offset < b.ref.offset;\n}\n\nfunction byDueTime',
      'return a.ref.offset > b.ref.offset;\n}\n\nfunction byDueTime',
    ),
    bug('dispatch/seating', 'a turn is not counted as taken', '    this.#lastServed = seat;\n', ''),
  ],
};
