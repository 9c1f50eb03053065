import { SeededPrng } from '@sluice/common/prng';
import type { BrokerUnderAttack } from '../hostile/broker-under-attack.ts';
import { frame, RawClient } from '../hostile/raw-client.ts';
import { PacketMaker, WORDS } from './packet-maker.ts';

export interface BrokerFindings {
  packets: number;
  connections: number;
  /** Bytes that the broker sent back, whatever they say. */
  answeredBytes: number;
}

/** Packets behind one CONNECT at the most; a broken one ends them earlier. */
const PACKETS_MAX = 120;
/** One in so many is broken: sequences go deep before they end. */
const BROKEN_ONE_IN = 40;
const WEBSOCKET_ONE_IN = 8;
const BATCH = 30;
const SILENCE_MS = 1_500;
const PINGREQ = Uint8Array.of(0xc0, 0);
const PINGRESP = 0xd000;

/**
 * Live sequences: connections with few client ids, topics and packet identifiers among them, each sending what the maker
 * makes in chunks torn at random, and ending in one of the ways connections end. What comes back is read and not judged;
 * who calls this asks afterwards whether the broker lives, serves, and logged no bug.
 */
export async function fuzzBroker(
  broker: BrokerUnderAttack,
  options: { packets: number; seed: number; atOnce: number; onProgress: (findings: BrokerFindings) => void },
): Promise<BrokerFindings> {
  const findings: BrokerFindings = { packets: 0, connections: 0, answeredBytes: 0 };
  const line = async (seed: number): Promise<void> => {
    const chance = new SeededPrng(seed);
    const maker = new PacketMaker(chance, WORDS, BROKEN_ONE_IN);
    while (findings.packets < options.packets) {
      await oneConnection(broker, chance, maker, findings);
      if (++findings.connections % 200 === 0) options.onProgress(findings);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, (_, i) => line(options.seed * 1_000 + i)));
  return findings;
}

async function oneConnection(
  broker: BrokerUnderAttack,
  chance: SeededPrng,
  maker: PacketMaker,
  findings: BrokerFindings,
): Promise<void> {
  const isWebSocket = chance.below(WEBSOCKET_ONE_IN) === 0;
  // A broker that is gone refuses: that ends the run.
  const { socket } = await RawClient.open(
    broker.server.address(isWebSocket ? 'ws' : 'mqtt'),
    isWebSocket ? 'ws' : 'tcp',
  );
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.removeAllListeners('data');
  let answered = (): void => {};
  socket.on('data', (chunk: Buffer) => {
    findings.answeredBytes += chunk.length;
    if (chunk.length >= 2 && chunk.readUInt16BE(chunk.length - 2) === PINGRESP) answered();
  });
  const version = chance.below(3) === 0 ? 4 : 5;
  let left = chance.below(PACKETS_MAX);
  let bytes = chance.below(50) === 0 ? maker.next(version) : maker.connect(version);
  while (!socket.destroyed) {
    const packets = [bytes];
    for (let i = chance.below(BATCH); i > 0 && left > 0; i--, left--) packets.push(maker.next(version));
    findings.packets += packets.length;
    const chunk = Buffer.concat(packets);
    const cut = chance.below(4) === 0 ? chance.below(chunk.length + 1) : chunk.length;
    for (const part of [chunk.subarray(0, cut), chunk.subarray(cut)]) {
      if (part.length === 0) continue;
      await new Promise<void>((resolve) => socket.write(isWebSocket ? frame(part) : part, () => resolve()));
    }
    if (left <= 0) break;
    left--;
    bytes = maker.next(version);
  }
  const how = chance.below(6);
  if (how > 1 && !socket.destroyed) {
    // Until it has read all that was sent, if it still reads: a claimed length may have swallowed the question.
    const silent = new Promise<void>((resolve) => setTimeout(resolve, SILENCE_MS).unref());
    const isAnswered = new Promise<void>((resolve) => {
      answered = resolve;
    });
    socket.write(isWebSocket ? frame(PINGREQ) : PINGREQ);
    await Promise.race([ended, silent, isAnswered]);
  }
  if (how === 0) socket.resetAndDestroy();
  else socket.destroy();
  await ended;
}
