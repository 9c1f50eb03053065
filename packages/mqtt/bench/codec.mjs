/**
 * Microseconds a packet, beside mqtt-packet: `node packages/mqtt/bench/codec.mjs` after a build. Every figure is the
 * best of several rounds, since other work on the machine can only slow one down.
 */
import { createRequire } from 'node:module';
import { Decoder } from '../dist/codec/decoder.js';
import { encode } from '../dist/codec/encoder.js';
import { PacketWriter } from '../dist/codec/packet-writer.js';

const mqttPacket = createRequire(new URL('../../../test/package.json', import.meta.url))('mqtt-packet');

const ROUNDS = 7;
const PER_ROUND = 100_000;
const CHUNK_BYTES = 64 * 1024;

const topic = 'plant/7/line/3/camera/42/images';
const payload = Buffer.alloc(200, 0x61);
const userProperties = ['trace', '4bf92f3577b34da6', 'source', 'camera-42'];
const connect = { type: 1, protocolVersion: 4, clientId: 'c', cleanStart: true, keepAliveS: 0 };
const publish = { type: 3, topic, payload, qos: 1, retain: false, dup: false, packetId: 7, properties: undefined };
const publishV5 = { ...publish, properties: { userProperties } };
const manyTopics = Array.from({ length: 1000 }, (_, i) => ({
  ...publish,
  topic: `plant/7/line/3/camera/${1000 + i}/ima`,
}));
const puback = { type: 4, packetId: 7, reasonCode: 0, properties: undefined };

const theirs = { cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false, messageId: 7 };
const theirsV5 = { ...theirs, properties: { userProperties: { trace: '4bf92f3577b34da6', source: 'camera-42' } } };
const theirPuback = { cmd: 'puback', messageId: 7, reasonCode: 0 };

/** The packets in turn, over and over, as sockets give them: chunks of 64 KiB. */
function chunksOf(packets, version, count) {
  const bytes = packets.map((packet) => encode(packet, version));
  const all = Buffer.concat(Array.from({ length: count }, (_, i) => bytes[i % bytes.length]));
  const chunks = [];
  for (let at = 0; at < all.length; at += CHUNK_BYTES) chunks.push(all.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

function best(run) {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    run();
    least = Math.min(least, Number(process.hrtime.bigint() - start) / 1000 / PER_ROUND);
  }
  return least;
}

function parse(packets, version) {
  const chunks = chunksOf(packets, version, PER_ROUND);
  const decoder = new Decoder({ maximumPacketSizeBytes: 1 << 20 });
  decoder.push(encode({ ...connect, protocolVersion: version }, version));
  decoder.next();
  return best(() => {
    let count = 0;
    for (const chunk of chunks) {
      decoder.push(chunk);
      while (decoder.next() !== undefined) count++;
    }
    if (count !== PER_ROUND) throw new Error(`${count} packets`);
  });
}

function parseTheirs(packets, version) {
  const chunks = chunksOf(packets, version, PER_ROUND);
  const parser = mqttPacket.parser({ protocolVersion: version });
  let count = 0;
  parser.on('packet', () => count++);
  return best(() => {
    count = 0;
    for (const chunk of chunks) parser.parse(chunk);
    if (count !== PER_ROUND) throw new Error(`${count} packets`);
  });
}

/** As a connection does it: a few hundred packets a turn, then the chunks are taken. */
function write(version, append) {
  const writer = new PacketWriter({ version });
  let bytes = 0;
  return best(() => {
    for (let i = 0; i < PER_ROUND; i++) {
      append(writer);
      if ((i & 255) === 255) for (const chunk of writer.take()) bytes += chunk.length;
    }
    for (const chunk of writer.take()) bytes += chunk.length;
    if (bytes === 0) throw new Error('nothing written');
  });
}

function generate(make) {
  let bytes = 0;
  return best(() => {
    for (let i = 0; i < PER_ROUND; i++) bytes += make().length;
    if (bytes === 0) throw new Error('nothing written');
  });
}

const rows = [
  ['parse PUBLISH 3.1.1', parse([publish], 4), parseTheirs([publish], 4)],
  ['parse PUBLISH 3.1.1, topics in turn', parse(manyTopics, 4), parseTheirs(manyTopics, 4)],
  ['parse PUBLISH 5, 2 user properties', parse([publishV5], 5), parseTheirs([publishV5], 5)],
  ['parse PUBACK', parse([puback], 4), parseTheirs([puback], 4)],
  ['write PUBLISH 3.1.1', write(4, (w) => w.publish(publish)), generate(() => mqttPacket.generate(theirs))],
  [
    'write PUBLISH 5, 2 user properties',
    write(5, (w) => w.publish(publishV5)),
    generate(() => mqttPacket.generate(theirsV5, { protocolVersion: 5 })),
  ],
  ['write PUBACK', write(4, (w) => w.ack(4, 7)), generate(() => mqttPacket.generate(theirPuback))],
  ['encode PUBLISH 3.1.1, a buffer each', generate(() => encode(publish, 4)), undefined],
  ['encode PUBLISH 5, a buffer each', generate(() => encode(publishV5, 5)), undefined],
];
console.log(
  `us a packet (topic of ${topic.length} bytes, payload of ${payload.length} bytes), node ${process.version}`,
);
for (const [name, ours, other] of rows) {
  const beside = other === undefined ? '' : `   mqtt-packet ${other.toFixed(3)}   ${(other / ours).toFixed(1)} times`;
  console.log(`${name.padEnd(38)} ${ours.toFixed(3)}${beside}`);
}
