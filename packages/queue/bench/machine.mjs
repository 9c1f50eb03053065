/**
 * What the machine alone costs a record, from the gateway's bytes to its settlement, without disk and network:
 * encode a batch, check it, prefetch, apply, flush; then settle all of it. Run after a build:
 *
 *   node packages/queue/bench/machine.mjs [--records N]
 */
import { encodeCommand } from '../dist/machine/command/command-codec.js';
import { stampCommand } from '../dist/machine/command/command-header.js';
import { QueueMachine } from '../dist/machine/queue-machine.js';
import { checkRecordBatch } from '../dist/record/record-batch.js';
import { RecordBatchBuilder } from '../dist/record/record-batch-builder.js';

const recordsAt = process.argv.indexOf('--records');
const RECORDS = recordsAt === -1 ? 100_000 : Number(process.argv[recordsAt + 1]);
const PAYLOAD_BYTES = 256;
const QUEUE_ID = 1;
const BATCH_RECORDS = [1, 16, 256];
/** Entries that a turn of the store applies together. */
const ENTRIES_A_TURN = 16;

/** The rows of an engine held in a map, and counted. */
class MapRows {
  values = new Map();
  writes = 0;
  get(key) {
    return this.values.get(Buffer.from(key.buffer, key.byteOffset, key.byteLength).latin1Slice());
  }
  put(key, value) {
    this.writes++;
    this.values.set(Buffer.from(key.buffer, key.byteOffset, key.byteLength).latin1Slice(), value);
  }
  delete(key) {
    this.writes++;
    this.values.delete(Buffer.from(key.buffer, key.byteOffset, key.byteLength).latin1Slice());
  }
}

function turn(machine, rows, commands, firstIndex) {
  machine.neededRows(commands);
  machine.furtherRows(commands, rows);
  const effects = [];
  for (let i = 0; i < commands.length; i++) machine.apply(firstIndex + i, commands[i], rows, effects);
  machine.flush(rows);
}

function measure(kind, batchRecords, records) {
  const isLastValue = kind === 'last-value';
  const machine = QueueMachine.restore([]);
  const rows = new MapRows();
  const config = { queueId: QUEUE_ID, version: 1, name: 'bench', isLastValue, countMax: null, bytesMax: null };
  turn(machine, rows, [encodeCommand({ type: 'configure-queue', config: { ...config, overflow: 'refuse' } })], 1);
  const builder = new RecordBatchBuilder();
  const payload = new Uint8Array(PAYLOAD_BYTES);
  const keys = Array.from({ length: 1000 }, (_, i) => Buffer.from(`device/${i}`));
  const spent = { encode: 0, check: 0, append: 0, settle: 0 };
  let index = 2;
  let n = 0;
  while (n < records) {
    let startedAt = performance.now();
    const lap = (phase) => {
      const now = performance.now();
      spent[phase] += now - startedAt;
      startedAt = now;
    };
    const base = n;
    const batches = [];
    for (let entry = 0; entry < ENTRIES_A_TURN; entry++) {
      for (let i = 0; i < batchRecords; i++, n++) {
        builder.add({
          targets: [{ queueId: QUEUE_ID, key: isLastValue ? keys[n % keys.length] : undefined }],
          topic: 'plant/line/7/state',
          payload,
          qos: 1,
          retain: false,
          publisher: 'device-4711',
          publishedAtMs: 1_700_000_000_000,
          expiresAtMs: 0,
          properties: undefined,
        });
      }
      batches.push(builder.finish());
    }
    lap('encode');
    for (const batch of batches) {
      checkRecordBatch(batch);
      stampCommand(batch, 1_700_000_000_000 + n);
    }
    lap('check');
    turn(machine, rows, batches, index);
    index += batches.length;
    lap('append');
    if (isLastValue) continue;
    const settled = batches.map((_, i) => {
      const rowBase = base + i * batchRecords;
      return { queueId: QUEUE_ID, rowBase, accepted: [rowBase, rowBase + batchRecords] };
    });
    turn(machine, rows, [encodeCommand({ type: 'settle', rows: settled })], index++);
    lap('settle');
  }
  const µs = (ms) => ((ms * 1000) / n).toFixed(2).padStart(7);
  const total = spent.append + spent.settle;
  console.log(
    `${kind.padEnd(10)} ${String(batchRecords).padStart(5)} ${µs(spent.encode)} ${µs(spent.check)} ${µs(spent.append)} ` +
      `${µs(spent.settle)} ${µs(total)} ${(rows.writes / n).toFixed(2).padStart(7)}`,
  );
}

console.log('µs a record of 256 B; rows written a record');
console.log('queue      batch  encode   check  append  settle append+settle  rows');
for (const kind of ['regular', 'last-value']) {
  for (const batchRecords of BATCH_RECORDS) {
    const log = console.log;
    console.log = () => {};
    measure(kind, batchRecords, Math.min(RECORDS, 20_000)); // warm up
    console.log = log;
    measure(kind, batchRecords, RECORDS);
  }
}
