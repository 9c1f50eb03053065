import { encodeCommand } from '../../src/machine/command/command-codec.ts';
import type { DropReason, SettleRow } from '../../src/machine/command/commands.ts';
import type { Effect } from '../../src/machine/effects.ts';
import type { RecordInput } from '../../src/record/record.ts';
import { batchOf, MachineHarness, record, target } from './machine-harness.ts';

/**
 * Scripts in testdata/machine: a command, `----`, what came of it, an empty line. `#` begins a comment.
 *
 *   configure 1 [last-value] [count=3] [bytes=200] [drop_oldest] [erases] [version=2]
 *   append 1:10 1,2:5 3/key:8 1:4!5000     records: targets (queue, or queue/key), payload bytes, ! expiry
 *   append from=7 number=3 [after=2] [answered=1] 1:10      of producer 7, whose third batch it is
 *   settle 1@0 accepted=0-2 expired=2-3 returned=3-4 | 2@5 accepted=5-6      ranges exclude their end
 *   settle head 1=7
 *   drop 1 purged 0 4 8 [upper=9]
 *   remove 1
 *   time 5000          sets the clock of the leader, and says so in a command
 *   turn               begins a batch of entries: the following commands up to `apply` share one prefetch
 *   apply
 *   queue 1            counters that are not 0
 *   rows               index, key and entry rows
 *   restart            restores the machine from its rows
 */
export class MachineScript {
  readonly #harness = new MachineHarness();
  #turn: Uint8Array[] | undefined;

  run(line: string): string[] {
    const words = line.split(/\s+/);
    const verb = words[0] as string;
    switch (verb) {
      case 'queue':
        return [this.#queue(Number(words[1]))];
      case 'rows': {
        const rows = this.#harness.describeRows();
        return rows.length === 0 ? ['none'] : rows;
      }
      case 'restart':
        this.#harness.restart();
        return ['ok'];
      case 'turn':
        this.#turn = [];
        return ['ok'];
      case 'apply': {
        const commands = this.#turn ?? [];
        this.#turn = undefined;
        return this.#apply(commands);
      }
    }
    if (verb === 'time') this.#harness.nowMs = Number(words[1]);
    const command = commandOf(verb, words.slice(1));
    if (this.#turn === undefined) return this.#apply([command]);
    this.#turn.push(command);
    return ['ok'];
  }

  #apply(commands: Uint8Array[]): string[] {
    return this.#harness.turn(commands).flatMap(({ index, reply, effects }) => {
      const { type, ...rest } = reply;
      const said = Object.entries(rest).map(([name, value]) => {
        if (name !== 'refused') return ` ${name}=${value}`;
        return (value as { slot: number; queueId: number; code: string }[])
          .map(({ slot, queueId, code }) => ` slot ${slot} of queue ${queueId}: ${code}`)
          .join(',');
      });
      return [`${index} ${type}${said.join('')}`, ...effects.map((effect) => `  ${describeEffect(effect)}`)];
    });
  }

  #queue(queueId: number): string {
    const queue = this.#harness.machine.queue(queueId);
    if (queue === undefined) return 'unknown';
    const { queueId: _id, name: _name, version: _version, isDirty: _dirty, open: _open, ...rest } = queue;
    const { accountedDepth: _accounted, isListed: _listed, rowName: _row, ...shown } = rest;
    return Object.entries(shown)
      .filter(([, value]) => value !== 0 && value !== false && value !== null)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ');
  }
}

function describeEffect(effect: Effect): string {
  const { type, ...rest } = effect;
  return [type, ...Object.entries(rest).map(([name, value]) => `${name}=${value}`)].join(' ');
}

function commandOf(verb: string, words: string[]): Uint8Array {
  switch (verb) {
    case 'configure': {
      const option = (name: string): number | null => {
        const word = words.find((candidate) => candidate.startsWith(`${name}=`));
        return word === undefined ? null : Number(word.slice(name.length + 1));
      };
      return encodeCommand({
        type: 'configure-queue',
        config: {
          queueId: Number(words[0]),
          version: option('version') ?? 1,
          name: `q${words[0]}`,
          isLastValue: words.includes('last-value'),
          countMax: option('count'),
          bytesMax: option('bytes'),
          overflow: words.includes('drop_oldest') ? 'drop_oldest' : 'refuse',
          erasesEmpty: words.includes('erases'),
        },
      });
    }
    case 'append': {
      const records = words.filter((word) => !word.includes('=')).map(recordOf);
      const number = (name: string): number => {
        return Number(words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? 0);
      };
      const origin = {
        producer: number('from'),
        sequence: number('number'),
        after: number('after'),
        answeredTo: number('answered'),
      };
      return batchOf(records, origin.producer === 0 ? undefined : origin);
    }
    case 'settle': {
      if (words[0] === 'head') {
        const heads = words.slice(1).map((word) => {
          const [queueId, head] = word.split('=').map(Number);
          return { queueId: queueId as number, head: head as number };
        });
        return encodeCommand({ type: 'settle', rows: [], heads });
      }
      return encodeCommand({ type: 'settle', rows: words.join(' ').split(' | ').map(settleRowOf) });
    }
    case 'drop': {
      const [queueId, reason, ...rest] = words;
      const upper = rest.find((word) => word.startsWith('upper='));
      return encodeCommand({
        type: 'drop-rows',
        queueId: Number(queueId),
        reason: reason as DropReason,
        rowBases: rest.filter((word) => word !== upper).map(Number),
        ...(upper === undefined ? {} : { upperOffset: Number(upper.slice('upper='.length)) }),
      });
    }
    case 'remove':
      return encodeCommand({ type: 'remove-queue', queueId: Number(words[0]) });
    case 'time':
      return encodeCommand({ type: 'time' });
  }
  throw new Error(`no such command: ${verb}`);
}

function recordOf(word: string): RecordInput {
  const [where, what] = word.split(':') as [string, string];
  const [bytes, expiry] = what.split('!');
  const targets = where.split(',').map((one) => {
    const [queueId, key] = one.split('/');
    return target(Number(queueId), key);
  });
  return record(targets, { payload: new Uint8Array(Number(bytes)), expiresAtMs: Number(expiry ?? 0) });
}

function settleRowOf(text: string): SettleRow {
  const [where, ...outcomes] = text.split(' ') as [string, ...string[]];
  const [queueId, rowBase] = where.split('@').map(Number);
  const ranges: Record<string, number[]> = { accepted: [], expired: [], returned: [] };
  for (const outcome of outcomes) {
    const [name, range] = outcome.split('=') as [string, string];
    ranges[name]?.push(...range.split('-').map(Number));
  }
  return { queueId: queueId as number, rowBase: rowBase as number, ...ranges };
}
