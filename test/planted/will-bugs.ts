import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

/** Wills that fire twice, never, or for the living. */
const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/${file}.ts`,
  find,
  put,
});

export const WILL_BUGS: readonly PlantedBugs[] = [
  {
    tests: 'packages/queue/test/session/will',
    bugs: [
      bug(
        'queue/src/session/session-machine',
        'an open that is asked again is a take-over, and fires the will of its own client',
        'return asked !== undefined && will?.number === epoch && will.ticket === asked.ticket;',
        'return asked !== undefined && will?.number === epoch && will.ticket !== asked.ticket && epoch < 0;',
      ),
      bug(
        'queue/src/session/session-machine',
        'a session that ends takes its will along',
        '    this.wills.fire(clientId, rows, effects);\n    const streamIds',
        '    this.wills.cancel(clientId, rows, effects);\n    const streamIds',
      ),
      bug(
        'queue/src/session/session-machine',
        'DISCONNECT does not take the will back',
        'if (takesWillBack === true) this.wills.cancel(clientId, rows, effects);',
        '',
      ),
      bug(
        'queue/src/session/session-machine',
        'what ends with its connection goes on when that is taken over',
        'const session = cleanStart || isOfConnection ? undefined : former;',
        'const session = cleanStart ? undefined : former;',
      ),
      bug(
        'queue/src/session/wills',
        'a client that comes back too late is taken for one that came in time',
        'will.dueAtMs === 0 ? will.delayS === 0 : will.dueAtMs <= nowMs;',
        'will.dueAtMs === 0 && will.delayS === 0;',
      ),
      bug(
        'queue/src/session/wills',
        'a delay is waited for beyond the session',
        'const delayS = Math.min(will.delayS, expiryS);',
        'const { delayS } = will;',
      ),
      bug(
        'queue/src/session/wills',
        'a delay is over before its time',
        'if (dueAtMs === 0 || dueAtMs > nowMs) return false;',
        'if (dueAtMs === 0 || dueAtMs > nowMs + 1000) return false;',
      ),
      bug(
        'queue/src/session/wills',
        'what waited for its delay is forgotten by a restart',
        '      if (will.dueAtMs > 0) this.#waiting++;\n',
        '      will.dueAtMs = 0;\n',
      ),
      bug(
        'queue/src/session/wills',
        'another gateway gets another group',
        'if (this.#group !== undefined) this.#group = { ...this.#group, gateway };',
        'if (this.#group !== undefined) this.#group = { ...this.#group, number: draw(), gateway };',
      ),
      bug(
        'queue/src/session/wills',
        'whatever is said to be published is taken for the group under way',
        'if (this.#group?.number !== group) return 0;',
        'if (this.#group === undefined) return 0;',
      ),
      bug(
        'queue/src/session/wills',
        'what a will said stays behind',
        '      rows.delete(dueWillRowKey(number));\n      rows.delete(willMessageRowKey(number));',
        '      rows.delete(dueWillRowKey(number));',
      ),
    ],
  },
  {
    tests: 'packages/store/test/session/wills',
    bugs: [
      bug(
        'store/src/session/partition-wills',
        'a group goes to another gateway at once',
        'nowMs - this.#awaySinceMs >= PartitionWills.AWAY_MS_MAX',
        'nowMs >= this.#awaySinceMs',
      ),
      bug(
        'store/src/session/partition-wills',
        'a new leader looks at no delays',
        '    this.#ripeAtMs = 0;\n    this.#asked',
        '    this.#ripeAtMs = Number.POSITIVE_INFINITY;\n    this.#asked',
      ),
      bug(
        'store/src/session/partition-wills',
        'a gateway that came back is not asked again',
        'if (this.#asked?.gateway === gateway) this.#asked = undefined;',
        '',
      ),
      bug(
        'store/src/session/partition-sessions',
        'a gateway that came back in time still loses its clients',
        '    this.#orphans.delete(clientId);\n    const attached',
        '    const attached',
      ),
      bug(
        'store/src/session/partition-sessions',
        'the end of a former connection is taken for that of the newer one, which nobody misses then',
        'if (this.#machine.connected(clientId) === undefined) this.#orphans.delete(clientId);',
        'this.#orphans.delete(clientId);',
      ),
      bug(
        'store/src/session/partition-wills',
        'what a gateway was to publish that died is nobody’s',
        'return nowMs - this.#awaySinceMs >= PartitionWills.AWAY_MS_MAX && this.#claim(group.wills);',
        'return false;',
      ),
    ],
  },
  {
    tests: 'packages/(store-client/test/group-producer|gateway/test/session/will)',
    bugs: [
      bug(
        'store-client/src/publish/group-producer',
        'each gateway numbers groups by itself',
        '    this.#group = { origin: { producer: partition, sequence: group }',
        '    this.#group = { origin: { producer: partition + Math.floor(performance.now() * 1e3), sequence: group }',
      ),
      bug(
        'store-client/src/publish/group-producer',
        'a group waits for the one before it',
        'writeBatchOrigin(bytes, { ...origin, after: before, answeredTo: before });',
        'writeBatchOrigin(bytes, { ...origin, after: before, answeredTo: 0 });',
      ),
      bug(
        'gateway/src/session/will-publisher',
        'a group that is asked for twice is published twice',
        'if (last !== undefined && group <= last.number) {',
        'if (last !== undefined && group < last.number) {',
      ),
      bug(
        'gateway/src/session/will-publisher',
        'a gateway that is asked by the next leader does not know what it has done',
        '    this.#last.set(partition, next);\n',
        '',
      ),
      bug(
        'gateway/src/session/will-publisher',
        'a will goes where its client may not publish',
        'if (authorizer.admit({ ...subject, isSuperuser }).mayPublish(topic, qos, retain)) return true;',
        'if (authorizer.admit({ ...subject, isSuperuser }) !== undefined) return true;',
      ),
    ],
  },
  {
    // Found in whole histories, by what their clients see.
    tests: 'packages/sim/test/wills',
    bugs: [
      bug(
        'queue/src/session/wills',
        'a delay is not waited for',
        'const delayS = Math.min(will.delayS, expiryS);',
        'const delayS = 0 * expiryS;',
      ),
      bug(
        'queue/src/session/session-machine',
        'who comes back in time leaves the will of before',
        'if (session !== undefined) this.wills.resumed(clientId, nowMs, rows, effects);',
        'if (session !== undefined) this.wills.of(clientId);',
      ),
      bug(
        'store/src/session/partition-sessions',
        'clients of a gateway that died are waited for without end',
        '    this.#feeds.delete(clientId);\n    this.#missed(clientId);\n',
        '    this.#feeds.delete(clientId);\n',
      ),
      bug(
        'gateway/src/connection/takeover',
        'whatever ends a connection takes its will back',
        "const takesWillBack = end === 'client_disconnect' && session.leavesWill;",
        "const takesWillBack = end !== 'discarded' && session.leavesWill;",
      ),
    ],
  },
];
