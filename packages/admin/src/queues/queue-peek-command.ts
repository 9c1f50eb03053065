import type { Command } from 'commander';
import { addApiOptions, type CommonOptions, json, run } from '../api-command.ts';
import type { CliHost } from '../cli-host.ts';
import { callApi } from '../rest-client.ts';
import { type MessagePageAnswer, queuePath } from './queue-answers.ts';
import { peekText } from './queue-text.ts';

/** Of the command line, as the API calls them. */
const PARAMETERS = [
  ['limit', 'limit'],
  ['from', 'from'],
  ['partition', 'partition'],
  ['maxPayloadBytes', 'max_payload_bytes'],
] as const;

/** `sluice queues peek`: messages as they lie in the queue; whoever consumes it notices nothing. */
export function addPeekCommand(queues: Command, host: CliHost): void {
  addApiOptions(queues.command('peek <NAME>').description('look at messages without consuming them'))
    .option('-n, --limit <COUNT>', 'most messages, up to 100', '10')
    .option('--from <OFFSET>', 'first offset (default: the oldest message)')
    .option('--partition <NUMBER>', 'which partition (default: the first of the queue)')
    .option('--max-payload-bytes <COUNT>', 'longer payloads are cut (default: 4096)')
    .action((name: string, options: CommonOptions) =>
      run(host, options, async (connection) => {
        const query = new URLSearchParams();
        for (const [option, parameter] of PARAMETERS) {
          const text = options[option];
          if (typeof text === 'string') query.set(parameter, text);
        }
        const page = (await callApi(connection, 'GET', queuePath(name, `/messages?${query}`))) as MessagePageAnswer;
        return options.json ? json(page) : peekText(page, host.nowMs());
      }),
    );
}
