import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

/** How a replica goes and comes back: mistakes that wipe what a leader counts on, or give a group two of them. */
const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/${file}.ts`,
  find,
  put,
});

export const LEAVE_BUGS: PlantedBugs = {
  tests:
    '(packages/store/test/placement/partition-set|packages/multiraft/test/(cluster-membership|replica/group-loader))',
  bugs: [
    bug(
      'store/src/placement/partition-set',
      'a replica goes on hearing while it asks whether it has left',
      '    host.deafen(groupId, true);\n',
      '',
    ),
    bug(
      'store/src/placement/partition-set',
      'a replica that stays is left deaf',
      '      if (!goes) host.deafen(groupId, false);\n',
      '',
    ),
    bug(
      'store/src/placement/partition-set',
      'a leader that knows less than the replica is believed',
      'return answer.index >= (host.status(groupId)?.membershipIndex ?? 0);',
      'return answer.index >= 0;',
    ),
    bug(
      'multiraft/src/group/group-driver',
      'a deaf replica takes messages',
      'if (replica.removed || replica.deaf || replica.impaired !== undefined) return;',
      'if (replica.removed || replica.impaired !== undefined) return;',
    ),
    bug(
      'multiraft/src/replica/group-loader',
      'who cannot read that others joined takes itself for the whole group',
      'if (stored.hidesMembership) return false;',
      '',
    ),
  ],
};
