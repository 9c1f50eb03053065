import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

const lane = 'packages/store-client/src/publish/partition-lane.ts';
const sender = 'packages/store-client/src/publish/batch-sender.ts';
const service = 'packages/store/src/service/append-service.ts';

const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({ name, file, find, put });

/** A gateway's end of a publish. */
export const PRODUCER_BUGS: PlantedBugs = {
  tests: 'packages/store-client/',
  bugs: [
    bug(lane, 'a batch comes after nothing', 'const after = Math.max(before, stored);', 'const after = 0 * stored;'),
    bug(
      lane,
      'a batch comes after one that was given up',
      'const before = batch.before === undefined ? 0 : batch.before.number;',
      'const before = batch.number - 1;',
    ),
    bug(
      lane,
      'a producer claims answers that it has not',
      'const answeredTo = (this.head as UnansweredBatch).number - 1;',
      'const answeredTo = batch.number - 1;',
    ),
    bug(
      lane,
      'a batch that is sent again has a new number',
      '    batch.attempts++;\n',
      '    batch.attempts++;\n    if (batch.attempts > 1) batch.number = ++this.#lastNumber;\n',
    ),
    bug(
      lane,
      'of a publisher at QoS 2 later ones are stored before what nobody knows of',
      '    if (!batch.holdsExchange) return givenUp;',
      '    if (givenUp.length > 0) return givenUp;',
    ),
    bug(lane, 'and so is what gathers', '    if (this.gathersExchange) this.gatheringFailure ??= failure;\n', ''),
    bug(
      lane,
      'what stays lets a copy of what was given up pass',
      '      givenUp.push(other);\n      if (other.holdsExchange) count = givenUp.length;',
      '      if (other.holdsExchange) count = givenUp.push(other);',
    ),
    bug(
      sender,
      'what is sent again is sent out of order',
      '    lane.firstWaiting = from;\n',
      '    lane.firstWaiting = from.behind ?? from;\n',
    ),
    bug(
      sender,
      'a refused batch is lost',
      '      default:\n        this.#takeBack(lane, batch);',
      '      default:\n        this.#takeBack(lane, batch.behind ?? batch);',
    ),
    bug(sender, 'bytes that are an entry already are written into', '      batch.bytes = batch.bytes.slice();\n', ''),
    bug(
      sender,
      'another leader gets only what is new',
      '    if (link !== lane.link || !leads) this.#takeAllBack(lane);\n',
      '',
    ),
  ],
};

/** A store's. */
export const APPEND_BUGS: PlantedBugs = {
  tests: 'packages/store/test/service/append-service',
  bugs: [
    bug(
      service,
      'a batch that is in the log is refused for want of space',
      "foreseen !== undefined && foreseen.type !== 'out-of-order'",
      "foreseen !== undefined && foreseen.type !== 'out-of-order' && this.#disk.admits(0)",
    ),
    bug(
      service,
      'what follows a refused batch fills the log',
      'foreseen !== undefined && !publisher.hasProposed(partition, (origin as BatchOrigin).after)',
      'foreseen !== undefined && partition.isStopped',
    ),
    bug(
      service,
      'a batch may come after one of an earlier leadership',
      'last.term === term && sequence <= last.sequence',
      'sequence <= last.sequence',
    ),
    bug(
      service,
      'a batch without its predecessor is acknowledged',
      "        this.#answer('out-of-order');",
      "        this.#answer('committed');",
    ),
    bug(
      service,
      'who repeats hears no refusals',
      "      case 'repeated': {\n        const { refused } = reply;",
      "      case 'repeated': {\n        const refused = reply.type === 'repeated' ? NONE : reply.refused;",
    ),
    bug(
      service,
      'a batch whose answer is forgotten is acknowledged',
      "        this.#answer('unavailable');",
      "        this.#answer('committed');",
    ),
    bug(
      service,
      'an entry that holds nothing is kept for delivery',
      "    if (reply.type === 'appended' && this",
      '    if (this',
    ),
    bug(service, 'an entry is kept though its turn is far', '.demand.isWanted(batch))', '.demand !== undefined)'),
  ],
};
