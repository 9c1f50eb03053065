import type { Command } from 'commander';
import { addApiOptions, type CommonOptions, json, run } from '../api-command.ts';
import { CliFailure, EXIT } from '../cli-failure.ts';
import type { CliHost } from '../cli-host.ts';
import { patiently, waitMsOf } from '../patience.ts';
import { type Connection, callApi } from '../rest-client.ts';
import { printable } from '../text-table.ts';
import { getQueue, QUEUES, type QueueAnswer, queuePath } from './queue-answers.ts';

/** A queue as the REST API takes it, and as `queues list --json` prints it. */
interface WantedQueue {
  name?: string;
  topic_filter: string;
  [field: string]: unknown;
}

type Outcome = 'created' | 'changed' | 'unchanged';

interface Applied {
  name: string;
  outcome: Outcome;
}

interface ApplyOptions extends CommonOptions {
  wait?: string;
}

/**
 * `sluice queues apply`: queues as a file says, for what installs and upgrades. What is missing is made, what differs is
 * changed, what is not in the file is left alone: to delete messages because a line is gone takes a person.
 */
export function addApplyCommand(queues: Command, host: CliHost): void {
  addApiOptions(
    queues
      .command('apply <FILE>')
      .description('make the queues of a JSON file, or change those that exist; none is deleted'),
  )
    .option('--wait <DURATION>', 'how long to wait for a server that is not there yet')
    .addHelpText('after', `\n${FORM}`)
    .action((file: string, options: ApplyOptions) =>
      run(host, options, async (connection) => {
        const wanted = await readWanted(host, file);
        const waitMs = waitMsOf(options.wait);
        const applied: Applied[] = [];
        for (const queue of wanted) {
          // The server may not be there yet, and its leader may change in the middle.
          const outcome = await patiently(host, waitMs, () => apply(connection, queue)).catch((error) => {
            throw halfway(error, queue, applied);
          });
          applied.push({ name: nameOf(queue), outcome });
        }
        if (options.json) return json(applied);
        return applied.map(({ name, outcome }) => `${outcome.padEnd(OUTCOME_WIDTH)}  ${printable(name)}\n`).join('');
      }),
    );
}

const OUTCOME_WIDTH = 'unchanged'.length;

/** Of a list of fifty: which of them, and how far it came. */
function halfway(error: unknown, queue: WantedQueue, applied: readonly Applied[]): unknown {
  if (!(error instanceof CliFailure)) return error;
  const before = applied.map(({ name, outcome }) => `${name} ${outcome}`);
  const done = `before it: ${before.length === 0 ? 'none' : before.join(', ')}; nothing behind it was looked at`;
  const hint = error.hint === '' ? done : `${error.hint}\n${done}`;
  return new CliFailure(error.exitCode, `${nameOf(queue)}: ${error.message}`, hint, error.mayPass);
}

/** The server judges the fields; what makes it a list of queues is judged here. */
async function readWanted(host: CliHost, file: string): Promise<readonly WantedQueue[]> {
  let value: unknown;
  try {
    value = JSON.parse(await host.readFile(file));
  } catch (error) {
    throw new CliFailure(EXIT.usage, `${file} cannot be read: ${(error as Error).message}`, FORM);
  }
  if (!Array.isArray(value)) throw new CliFailure(EXIT.usage, `${file} holds no list`, FORM);
  const seen = new Set<string>();
  for (const [i, queue] of value.entries()) {
    if (typeof queue?.topic_filter !== 'string')
      throw new CliFailure(EXIT.usage, `${file}: queue ${i + 1} has no topic_filter`, FORM);
    // The API's default surprises those who want a work queue, as with `create`.
    if (typeof queue.is_lastvalue !== 'boolean')
      throw new CliFailure(EXIT.usage, `${file}: queue ${i + 1} does not say is_lastvalue, true or false`, FORM);
    const name = nameOf(queue);
    if (seen.has(name)) throw new CliFailure(EXIT.usage, `${file}: queue ${i + 1} repeats ${name}`);
    seen.add(name);
  }
  return value;
}

const FORM =
  'A list as "sluice queues list --json" prints it, for example [{"name":"orders","topic_filter":"orders/#","is_lastvalue":false}]';

/** One without a name is called after its filter. */
function nameOf({ name, topic_filter }: WantedQueue): string {
  return name ?? `/${topic_filter}`;
}

/** Looks first each time: what was asked for before may have been done without an answer. */
async function apply(connection: Connection, queue: WantedQueue): Promise<Outcome> {
  const { statistics: _figures, created_at: _at, ...body } = queue;
  const known = await find(connection, nameOf(queue));
  if (known === undefined) {
    await callApi(connection, 'POST', QUEUES, body);
    return 'created';
  }
  const changed = (await callApi(connection, 'PUT', queuePath(known.name), body)) as QueueAnswer;
  return JSON.stringify(changed) === JSON.stringify(known) ? 'unchanged' : 'changed';
}

async function find(connection: Connection, name: string): Promise<QueueAnswer | undefined> {
  try {
    return await getQueue(connection, name);
  } catch (error) {
    if (error instanceof CliFailure && error.exitCode === EXIT.notFound) return undefined;
    throw error;
  }
}
