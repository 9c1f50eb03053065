import type { Remote } from './remote-bench.ts';
import type { Flow } from './workload.ts';
import { FAN_OUT_BACKLOG_MAX } from './workloads.ts';

/** What was typed behind `sluice bench`. */
export interface RemoteFlags {
  mqtt: string[];
  url: string;
  apiKey?: string;
  username?: string;
  password?: string;
  pid: string[];
  fanOut?: boolean;
  publishers: string;
  consumers: string;
  payload: string;
  window: string;
  prefetch: string;
  rate: string;
  qos: string;
  work: string;
  warmUp: string;
  seconds: string;
  json?: boolean;
}

/** A number somebody typed, and what it may be. */
const NUMBERS = {
  publishers: { from: 1, to: 1_000 },
  consumers: { from: 1, to: 1_000 },
  payload: { from: 24, to: 64 * 1024 * 1024 },
  // Packet identifiers end there.
  window: { from: 1, to: 65_535 },
  prefetch: { from: 1, to: 65_535 },
  rate: { from: 0, to: 10_000_000 },
  qos: { from: 0, to: 1 },
  work: { from: 0, to: 60_000 },
  warmUp: { from: 0, to: 3_600 },
  seconds: { from: 1, to: 86_400 },
} as const;

/** What it means; a text says what is wrong with it. */
export function remoteOf(flags: RemoteFlags): Remote | string {
  const numbers = new Map<string, number>();
  for (const [name, { from, to }] of Object.entries(NUMBERS)) {
    const text = flags[name as keyof typeof NUMBERS];
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < from || value > to) {
      return `--${name === 'warmUp' ? 'warm-up' : name} must be a whole number from ${from} to ${to}, not "${text}"`;
    }
    numbers.set(name, value);
  }
  const number = (name: keyof typeof NUMBERS): number => numbers.get(name) as number;
  const texts = flags.mqtt.length > 0 ? flags.mqtt : ['127.0.0.1:1883'];
  const addresses = texts.map((text) => /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text));
  const wrong = texts.find((_, i) => addresses[i] === null);
  if (wrong !== undefined) return `"${wrong}" is not HOST:PORT`;
  const pids = flags.pid.map(Number);
  if (pids.some((pid) => !Number.isInteger(pid) || pid < 1)) return '--pid must be a process id';
  const qos = number('qos') === 0 ? 0 : 1;
  if (qos === 0 && flags.fanOut !== true) return 'QoS 0 goes with --fan-out: a queue is published to at QoS 1';
  const flow: Flow = {
    channel: flags.fanOut === true ? 'fan-out' : 'queue',
    qos,
    publishers: number('publishers'),
    consumers: number('consumers'),
    payloadBytes: number('payload'),
    window: number('window'),
    prefetch: number('prefetch'),
    backlogMax: flags.fanOut === true ? FAN_OUT_BACKLOG_MAX : 5 * number('window') * number('publishers'),
    keys: 1,
    workMs: [number('work')],
  };
  return {
    flow,
    addresses: addresses.map((match) => ({ host: match?.[1] as string, port: Number(match?.[2]) })),
    rest: { url: flags.url.replace(/\/+$/, ''), apiKey: flags.apiKey ?? process.env.SLUICE_API_KEY },
    credentials: {
      ...(flags.username === undefined ? {} : { username: flags.username }),
      ...credential('password', flags.password ?? process.env.SLUICE_MQTT_PASSWORD),
    },
    pids,
    perSecond: number('rate'),
    warmUpMs: number('warmUp') * 1000,
    measureMs: number('seconds') * 1000,
  };
}

function credential(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}
