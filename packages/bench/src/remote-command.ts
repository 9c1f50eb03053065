import { type Command, Option } from 'commander';
import type { RemoteFlags } from './run/remote-options.ts';

/** What scripts may rely on. */
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const EXIT_UNREACHABLE = 5;
const GATEWAY_HINT = 'start the broker, or name its gateways with --mqtt';
const DEFAULT_URL = 'http://127.0.0.1:18083';

/** `sluice bench`: the load against a broker that runs, over MQTT. Comparing brokers is `npm run bench`. */
export function registerBenchCommand(program: Command): Command {
  return program
    .command('bench')
    .description('put load on a running broker over MQTT, and check that every message comes')
    .addOption(
      new Option('--mqtt <HOST:PORT>', 'a gateway; repeated, clients are spread over them')
        .argParser(collect)
        .default([], '127.0.0.1:1883'),
    )
    .option('--url <URL>', `REST API, where the queue is made and removed; also SLUICE_URL (default: ${DEFAULT_URL})`)
    .option('--api-key <KEY:SECRET>', 'also SLUICE_API_KEY')
    .option('--username <NAME>', 'of the MQTT clients')
    .option('--password <TEXT>', 'also SLUICE_MQTT_PASSWORD')
    .addOption(
      new Option('--pid <PID>', 'a process of the broker on this machine; its processor time is shown')
        .argParser(collect)
        .default([], 'none'),
    )
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
    .action(async (flags: Omit<RemoteFlags, 'url'> & { url?: string }) => {
      // Loaded when it is called: other commands start without them.
      const [{ remoteOf }, { RemoteBench }] = await Promise.all([
        import('./run/remote-options.ts'),
        import('./run/remote-bench.ts'),
      ]);
      const remote = remoteOf({ ...flags, url: flags.url ?? (process.env.SLUICE_URL || DEFAULT_URL) });
      if (typeof remote === 'string') {
        process.stderr.write(`error: ${remote}\n`);
        process.exitCode = EXIT_USAGE;
        return;
      }
      try {
        const isWhole = await new RemoteBench(remote).run(flags.json === true);
        if (!isWhole) process.exitCode = EXIT_FAILURE;
      } catch (error) {
        const { message, code } = error as Error & { code?: string };
        const hasNoRest = code === 'BENCH_NO_REST';
        const gateway = hasNoRest ? undefined : /ECONNREFUSED (\S+)/.exec(message)?.[1];
        const said = gateway === undefined ? message : `nobody listens at ${gateway}: ${GATEWAY_HINT}`;
        process.stderr.write(`error: ${said}\n`);
        process.exitCode = hasNoRest || gateway !== undefined ? EXIT_UNREACHABLE : EXIT_FAILURE;
      }
    });
}

function collect(item: string, all: string[]): string[] {
  return [...all, ...item.split(',')];
}
