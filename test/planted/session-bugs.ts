import type { PlantedBugs } from './planted-bug.ts';

/** Sessions that were there before their clients came. */
const OF_CONNECTS: PlantedBugs = {
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

/** Subscriptions that are answered before everybody stores by them. */
const OF_SUBACKS: PlantedBugs = {
  tests: 'packages/store/test/sessions',
  bugs: [
    {
      name: 'SUBACK waits for those alone who are here',
      file: 'packages/store/src/service/session-service.ts',
      find: '(areAllHere && this.#allSaw(waiter))',
      put: 'this.#allSaw(waiter)',
    },
    {
      name: 'SUBACK waits for whoever comes back no longer than for who is here',
      file: 'packages/store/src/service/session-service.ts',
      find: 'Math.max(this.#clock.monotonicMs() + SessionService.SEEN_MS_MAX, this.#returnsUntilMs())',
      put: 'this.#clock.monotonicMs() + SessionService.SEEN_MS_MAX',
    },
    {
      name: 'a process that has just begun awaits nobody',
      file: 'packages/store/src/session/gateway-returns.ts',
      find: 'if (nowMs >= this.#begunUntilMs) return untilMs;',
      put: 'return untilMs;',
    },
  ],
};

export const SESSION_BUGS: readonly PlantedBugs[] = [OF_CONNECTS, OF_SUBACKS];
