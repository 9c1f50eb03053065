import type { PlantedBugs } from './planted-bug.ts';

/** What goes without having been delivered, and what stays though it should have gone: for the few seeds of the simulator. */
export const SIMULATED_RETENTION_BUGS: PlantedBugs = {
  tests: 'packages/sim/test/retention.test',
  bugs: [
    {
      name: 'simulated: a purge is answered before anything is gone',
      file: 'packages/store/src/sweep/row-dropper.ts',
      find: "const dropped = await this.#walk(queueId, 'purged', cut);",
      put: "const dropped = Number(void this.#walk(queueId, 'purged', cut)) || 0;",
    },
    {
      name: 'simulated: what was purged while it was read is handed out',
      file: 'packages/store/src/dispatch/queue-dispatch.ts',
      find: '    this.#cursor.dropped();\n    this.#step.isStale = true;',
      put: '    if (this.#closed) this.#cursor.dropped();',
    },
    {
      name: 'simulated: a period that was shortened holds when the former one is over',
      file: 'packages/store/src/sweep/retention-sweeper.ts',
      find: '        known.nextLookMs.delete(queueId);\n',
      put: '',
    },
    {
      name: 'simulated: a period counts from the oldest message of a queue',
      file: 'packages/store/src/sweep/row-dropper.ts',
      find: '      if (row.appendedAtMs < beforeMs) return row.base + row.count;',
      put: '      oldestMs ||= row.appendedAtMs;\n      if (oldestMs < beforeMs) return row.base + row.count;',
    },
    {
      name: 'simulated: what was dropped is counted as accepted',
      file: 'packages/queue/src/machine/apply/apply-drop.ts',
      find: '      queue.countDropped(reason);',
      put: "      queue.countDropped('passed');",
    },
    {
      name: 'simulated: the key of a value that was dropped stays',
      file: 'packages/queue/src/machine/apply/apply-drop.ts',
      find: '      releaseKey(queue, row, offset, rows);',
      put: '      queue.keyCount -= row.keyOf(offset) === undefined ? 0 : 1;',
    },
    {
      name: 'simulated: of two changes of a queue at once one is forgotten',
      file: 'packages/meta/src/meta-machine.ts',
      find: 'if (earlier.version !== expectedVersion) return',
      put: 'if (earlier.version < expectedVersion) return',
    },
    {
      name: 'simulated: a window that was made smaller holds for new consumers alone',
      file: 'packages/gateway/src/deliver/queue-attachment.ts',
      find: '    this.#definition = definition;\n    const isNewer',
      put: '    if (definition?.queueId !== this.#definition?.queueId) this.#definition = definition;\n    const isNewer',
    },
  ],
};
