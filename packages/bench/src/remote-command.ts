import type { Command } from 'commander';
import type { Remote } from './run/remote-bench.ts';
import type { Flow } from './run/workload.ts';

/** What scripts may rely on. */
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

interface Flags {
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

/** `sluice bench`: the load against a broker that runs, over MQTT. Comparing brokers is `npm run bench`. */
export function registerBenchCommand(program: Command): Command {
  return program
    .command('bench')
    .description('put load on a running broker over MQTT, and check that every message comes')
    .option('--mqtt <HOST:PORT>', 'a gateway; repeated, clients are spread over them', collect, [])
    .option('--url <URL>', 'REST API, where the queue is made and removed', 'http://127.0.0.1:18083')
    .option('--api-key <KEY:SECRET>', 'also SLUICE_API_KEY')
    .option('--username <NAME>', 'of the MQTT clients')
    .option('--password <TEXT>', 'also SLUICE_MQTT_PASSWORD')
    .option('--pid <PID>', 'a process of the broker on this machine; its processor time is shown', collect, [])
    .option('--fan-out', 'every consumer gets every message, without a queue')
    .option('--publishers <N>', 'connections that publish', '4')
    .option('--consumers <N>', 'connections that consume', '4')
    .option('--payload <BYTES>', 'random bytes, the check included', '256')
    .option('--window <N>', 'unanswered messages of a publisher', '256')
    .option('--prefetch <N>', 'unacknowledged messages of a consumer', '256')
    .option('--rate <N>', 'messages a second of all publishers; 0: as fast as the windows allow', '0')
    .option('--qos <N>', '0 or 1; queues want 1', '1')
    .option('--work <MS>', 'how long a consumer takes for a message', '0')
    .option('--warm-up <S>', 'before it is measured', '2')
    .option('--seconds <S>', 'measured', '10')
    .option('--json', 'print JSON for programs')
    .action(async (flags: Flags) => {
      const remote = remoteOf(flags);
      if (typeof remote === 'string') {
        process.stderr.write(`error: ${remote}\n`);
        process.exitCode = EXIT_USAGE;
        return;
      }
      try {
        // Loaded when it is called: other commands start without it.
        const { RemoteBench } = await import('./run/remote-bench.ts');
        const isWhole = await new RemoteBench(remote).run(flags.json === true);
        if (!isWhole) process.exitCode = EXIT_FAILURE;
      } catch (error) {
        process.stderr.write(`error: ${(error as Error).message}\n`);
        process.exitCode = EXIT_FAILURE;
      }
    });
}

/** A text says what is wrong. */
function remoteOf(flags: Flags): Remote | string {
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
    backlogMax: Math.max(64, 5 * number('window') * number('publishers')),
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

function collect(item: string, all: string[]): string[] {
  return [...all, ...item.split(',')];
}
