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
  tests: 'packages/store/test/session/sessions',
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

/** Packet ids that nobody finds again, or that mean two messages. */
const OF_PACKET_IDS: PlantedBugs = {
  tests: 'packages/mqtt/test/protocol/destined-ids',
  bugs: [
    {
      name: 'what has another id than its place says is sent before that is kept',
      file: 'packages/mqtt/src/protocol/outbound-publish.ts',
      find: 'if (destinedId !== 0 && packetId !== destinedId && !again && session.exchanges !== undefined) {',
      put: 'if (destinedId < 0 && packetId !== destinedId && !again && session.exchanges !== undefined) {',
    },
    {
      name: 'a message overtakes one whose packet id is being kept',
      file: 'packages/mqtt/src/protocol/outbound-publish.ts',
      find: 'if (session.isBindingAtLeastOnce) return false;',
      put: 'if (session.isBindingAtLeastOnce && outbound.live) return false;',
    },
    {
      name: 'what may have been sent does not wait for its packet id',
      file: 'packages/mqtt/src/protocol/outbound-publish.ts',
      find: 'return !outbound.isUnsure || !inflight.isOnWire(outbound.destinedId);',
      put: 'return !outbound.isUnsure || inflight.hasRoom;',
    },
    {
      name: 'what may have been sent is not marked',
      file: 'packages/mqtt/src/protocol/outbound-publish.ts',
      find: 'transmit(session, outbound, again || outbound.isUnsure, nowMs);',
      put: 'transmit(session, outbound, again, nowMs);',
    },
  ],
};

/** Gateways that left no word of what they had sent. */
const OF_UNSURE: PlantedBugs = {
  tests: 'packages/queue/test/session/session-machine',
  bugs: [
    {
      name: 'who was overtaken has sent nothing',
      file: 'packages/queue/src/session/session-machine.ts',
      find: '(session.isUnsure || session.gateway !== 0)',
      put: '(session.isUnsure || session.gateway < 0)',
    },
    {
      name: 'whose gateway is gone was sent nothing',
      file: 'packages/queue/src/session/session-machine.ts',
      find: 'expiryS: left, isUnsure: leavesUnsure }',
      put: 'expiryS: left, isUnsure: false }',
    },
  ],
};

/** Sessions that are over and not gone. */
const OF_PORTIONS: PlantedBugs = {
  tests: 'packages/queue/test/session/endings',
  bugs: [
    {
      name: 'a portion takes the cursors of whoever came back',
      file: 'packages/queue/src/session/session-machine.ts',
      find: 'if (read.has(streamId)) this.#streams.release(streamId, effects);',
      put: 'if (read.has(-1)) this.#streams.release(streamId, effects);',
    },
    {
      name: 'what is being taken apart is forgotten with a restart',
      file: 'packages/queue/src/session/session-machine.ts',
      find: 'else if (key[0] === SessionTable.PORTION) machine.endings.restore(key, value);',
      put: 'else if (key[0] === SessionTable.PORTION) continue;',
    },
    {
      name: 'as many as come are taken apart',
      file: 'packages/queue/src/session/endings.ts',
      find: 'this.#byNumber.size < Endings.ENDINGS_MAX;',
      put: 'this.#byNumber.size < 2 * Endings.ENDINGS_MAX;',
    },
  ],
};

/** The same, in whole clusters whose sessions end in portions of a few streams. */
const OF_SIMULATED_PORTIONS: PlantedBugs = {
  tests: 'packages/sim/test/endings',
  bugs: [
    {
      name: 'simulated: a portion takes the cursors of whoever came back',
      file: 'packages/queue/src/session/session-machine.ts',
      find: 'if (read.has(streamId)) this.#streams.release(streamId, effects);',
      put: 'if (read.has(-1)) this.#streams.release(streamId, effects);',
    },
  ],
};

export const SESSION_BUGS: readonly PlantedBugs[] = [
  OF_CONNECTS,
  OF_SUBACKS,
  OF_PACKET_IDS,
  OF_UNSURE,
  OF_PORTIONS,
  OF_SIMULATED_PORTIONS,
];
