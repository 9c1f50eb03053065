import { isDeepStrictEqual } from 'node:util';
import { SeededPrng } from '@sluice/common/prng';
import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType, type ProtocolVersion } from '@sluice/mqtt/codec/packet';
import { MqttProtocolError } from '@sluice/mqtt/codec/protocol-error';
import { PacketMaker, WORDS } from './packet-maker.ts';

export interface DecoderFindings {
  packets: number;
  accepted: number;
  refused: number;
  /** By the reason code of the refusal, as text. */
  refusals: Map<string, number>;
  /** The longest that one packet took, in its best of several runs: the others measure the machine. */
  slowestMs: number;
  failures: string[];
}

/** Of the same bytes: as they would come in one piece, and torn at random. */
const CHUNKED_ONE_IN = 8;
const AGAIN = 5;
const FAILURES_MAX = 10;
/** Beyond it a packet is run again to see whether it was the packet. */
const SUSPICIOUS_MS = 2;

/**
 * Each packet alone, behind a good CONNECT: it is a packet or a refusal with a reason code of the specification, never
 * another exception; the same however the bytes were torn; and what was accepted is written and read to the same again.
 */
export function fuzzDecoder(
  packets: number,
  seed: number,
  onProgress: (findings: DecoderFindings) => void,
): DecoderFindings {
  const chance = new SeededPrng(seed);
  const maker = new PacketMaker(chance, WORDS, 2);
  const findings: DecoderFindings = {
    packets: 0,
    accepted: 0,
    refused: 0,
    refusals: new Map(),
    slowestMs: 0,
    failures: [],
  };
  while (findings.packets < packets && findings.failures.length < FAILURES_MAX) {
    const version: ProtocolVersion = chance.below(3) === 0 ? 4 : 5;
    const isFirst = chance.below(16) === 0;
    const bytes = isFirst && chance.below(2) === 0 ? maker.connect(version) : maker.next(version);
    const fail = (what: string): void => {
      findings.failures.push(
        `${what}: version ${version}${isFirst ? ', first' : ''}, ${bytes.toString('hex').slice(0, 400)}`,
      );
    };
    const fromMs = performance.now();
    const whole = outcomeOf([bytes], version, isFirst);
    let tookMs = performance.now() - fromMs;
    for (let again = 0; tookMs > SUSPICIOUS_MS && again < AGAIN; again++) {
      const againMs = performance.now();
      outcomeOf([bytes], version, isFirst);
      tookMs = Math.min(tookMs, performance.now() - againMs);
    }
    findings.slowestMs = Math.max(findings.slowestMs, tookMs);
    count(findings, whole, fail);
    if (chance.below(CHUNKED_ONE_IN) === 0) {
      const torn = outcomeOf(tear(bytes, chance), version, isFirst);
      if (!isDeepStrictEqual(plain(torn), plain(whole))) fail('torn bytes are something else');
    }
    for (const packet of whole.packets) {
      const back = outcomeOf([Buffer.from(encode(packet, version))], version, packet.type === PacketType.CONNECT);
      if (!isDeepStrictEqual(plain(back).packets[0], plain({ packets: [packet], error: undefined }).packets[0])) {
        fail('written and read again it is something else');
      }
    }
    findings.packets++;
    if ((findings.packets & 0x3fff) === 0) onProgress(findings);
  }
  return findings;
}

interface Outcome {
  packets: Packet[];
  error: unknown;
}

function outcomeOf(chunks: readonly Uint8Array[], version: ProtocolVersion, isFirst: boolean): Outcome {
  const decoder = new Decoder({ maximumPacketSizeBytes: 1024 * 1024 });
  const packets: Packet[] = [];
  try {
    if (!isFirst) {
      decoder.push(GREETINGS[version]);
      decoder.next();
    }
    for (const chunk of chunks) {
      decoder.push(chunk);
      for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) packets.push(packet);
    }
  } catch (error) {
    return { packets, error };
  }
  return { packets, error: undefined };
}

const greeting = (version: ProtocolVersion): Uint8Array =>
  encode(
    { type: PacketType.CONNECT, protocolVersion: version, clientId: 'c', cleanStart: true, keepAliveS: 0 },
    version,
  );
const GREETINGS: Readonly<Record<ProtocolVersion, Uint8Array>> = { 4: greeting(4), 5: greeting(5) };

function count(findings: DecoderFindings, { packets, error }: Outcome, fail: (what: string) => void): void {
  findings.accepted += packets.length;
  if (error === undefined) return;
  if (!(error instanceof MqttProtocolError) || error.reasonCode < 0x80) {
    fail(`not a refusal: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return;
  }
  findings.refused++;
  const code = `0x${error.reasonCode.toString(16)}`;
  findings.refusals.set(code, (findings.refusals.get(code) ?? 0) + 1);
}

/** Views into different buffers are the same bytes. */
/** What a packet says, apart from whose memory it says it in. */
function plain({ packets, error }: Outcome): { packets: unknown[]; error: unknown } {
  const reason = error instanceof MqttProtocolError ? error.reasonCode : error;
  return { packets: packets.map((packet) => flattened(packet)), error: reason };
}

function flattened(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(flattened);
  if (typeof value !== 'object' || value === null) return value;
  return new Map(
    Object.entries(value)
      .filter(([name, each]) => each !== undefined && name !== 'ownsBuffer')
      .map(([name, each]) => [name, flattened(each)]),
  );
}

function tear(bytes: Buffer, chance: SeededPrng): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + chance.below(Math.min(bytes.length - at, chance.below(4) === 0 ? 2_000 : 7));
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}
