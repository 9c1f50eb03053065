import type { PlantedBugs } from './planted-bug.ts';

/** Sessions that were there before their clients came. */
export const SESSION_BUGS: PlantedBugs = {
  tests: 'packages/queue/test/session/session-machine',
  bugs: [
    {
      name: 'an open that is asked again is a take-over',
      file: 'packages/queue/src/session/session-machine.ts',
      find: 'if (ticket !== 0) return former.ticket === ticket;',
      put: 'if (ticket !== 0) return former.ticket === ticket && epoch < 0;',
    },
    {
      name: 'what a CONNECT began was there before it, once the store is asked again',
      file: 'packages/queue/src/session/session-machine.ts',
      find: 'this.wills.of(clientId)?.isPresent === true : former.wasPresent;',
      put: 'this.wills.of(clientId)?.isPresent === true : true;',
    },
    {
      name: 'what a CONNECT began was there before it, once it was closed meanwhile',
      file: 'packages/queue/src/session/session-machine.ts',
      find: '(ticket === 0 || session.ticket !== ticket || session.wasPresent)',
      put: '(ticket >= 0 || session.ticket !== ticket || session.wasPresent)',
    },
  ],
};
