import type { PlantedBugs } from './planted-bug.ts';

/** Backups, and what is made of them: for the few seeds of the simulator. */
export const SIMULATED_BACKUP_BUGS: PlantedBugs = {
  tests: 'packages/sim/test/backups.test',
  bugs: [
    {
      name: 'simulated: a backup takes the image that is there already',
      file: 'packages/multiraft/src/backup/group-export.ts',
      find: 'imageKeeper.pin(replica, true, () => {})',
      put: 'imageKeeper.pin(replica, false, () => {})',
    },
    {
      name: 'simulated: entries go while a backup reads them',
      file: 'packages/multiraft/src/backup/group-export.ts',
      find: '  replica.exports++;\n',
      put: '  replica.exports += 0;\n',
    },
    {
      name: 'simulated: the last entries that are alive are in no backup',
      file: 'packages/multiraft/src/backup/group-export.ts',
      find: '    if (first > 0) yield { first, last };\n  }\n}',
      put: '  }\n}',
    },
    {
      name: 'simulated: a group is read no further by a leader that is none any more, and is whole',
      file: 'packages/multiraft/src/backup/group-export.ts',
      find: '    for await (const { first, last } of runsIn(path)) {\n',
      put: '    for await (const { first, last } of runsIn(path)) {\n      if (!replica.leads) break;\n',
    },
    {
      name: 'simulated: the metadata of a backup is older than its partitions',
      file: 'packages/coordinator/src/administration/backup-copy.ts',
      find: 'const groups = [...Array.from({ length: partitions }, (_, at) => at + 1), META_GROUP_ID];',
      put: 'const groups = Array.from({ length: partitions + 1 }, (_, at) => META_GROUP_ID + at);',
    },
    {
      name: 'simulated: of a group nothing is written but its rows',
      file: 'packages/coordinator/src/administration/backup-copy.ts',
      find: 'counter.count(part);\n    await out.sync();',
      put: 'if (part.type !== "entries") counter.count(part); else break;\n    await out.sync();',
    },
    {
      name: 'simulated: a restored cluster has no queues',
      file: 'packages/meta/src/restored-metadata.ts',
      find: "if (table === 'queue' || table === 'access') restored.push(row);",
      put: "if (table === 'access') restored.push(row);",
    },
  ],
};
