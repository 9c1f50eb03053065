import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

/** A queue with a backlog: mistakes that lose or repeat records that are read ahead, or hold publishers up for no reason. */
const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/store/src/dispatch/${file}.ts`,
  find,
  put,
});

export const BACKLOG_BUGS: PlantedBugs = {
  tests: 'packages/store/test/dispatch/(intake-balance|row-cursor|dispatch-step|entry-demand)',
  bugs: [
    bug(
      'intake-balance',
      'a slow worker slows publishers',
      'IntakeBalance.ROUND_TRIP_PASSES_MAX * this.#perPass',
      'Number.POSITIVE_INFINITY',
    ),
    bug(
      'intake-balance',
      'publishers of another queue wait as well',
      'if (queue?.isHungry === true) return queue;',
      'return [...this.#queues.values()][0];',
    ),
    bug(
      'intake-balance',
      'answers wait without a bound',
      'this.#heldBytes > IntakeBalance.HELD_BYTES_MAX && ',
      'false && ',
    ),
    bug(
      'intake-balance',
      'answers that wait are lost with the leadership',
      '    this.#answerAll(queue);\n  }\n\n  /** The first',
      '  }\n\n  /** The first',
    ),
    bug(
      'row-cursor',
      'what died behind the rows at hand is read on for without end',
      'if (rows.length === 0) this.#nothingFrom = from;',
      '',
    ),
    bug(
      'row-cursor',
      'what is superseded while rows are read on is handed out',
      '    this.#meanwhile?.add(offset);\n',
      '',
    ),
    bug(
      'row-cursor',
      'rows that were dropped while they were read on are handed out',
      'voided !== this.#voided || ',
      '',
    ),
    bug('row-cursor', 'who has no rows left reads beside the read under way', '      await this.#readingOn;\n', ''),
    bug('dispatch-step', 'an entry on its way is read once more', '      await bringing.done;\n', ''),
    bug(
      'entry-demand',
      'the first queue of an entry decides',
      'if (queueId === far) continue;',
      'if (far !== 0) continue;',
    ),
    bug('entry-demand', 'a stream is a backlog', '    if (isStream(queueId)) return true;\n', ''),
    bug('entry-demand', 'values of keys are a backlog', 'queue.isLastValue || ', ''),
  ],
};
