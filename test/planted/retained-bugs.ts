import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

/** What is retained while somebody subscribes: mistakes by which a subscriber gets it neither live nor from the stores. */
const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/gateway/src/${file}.ts`,
  find,
  put,
});

/** What the simulator has to find by itself: its few seeds, and no test beside the code. */
export const SIMULATED_RETAINED_BUGS: PlantedBugs = {
  tests: 'packages/sim/test/retained',
  bugs: [
    {
      name: 'simulated: what cleared a topic and comes again clears what was retained since',
      file: 'packages/queue/src/machine/apply/apply-append.ts',
      find: 'if (isTaken(publisher, number, queueId)) {',
      put: 'if (isTaken(publisher, number, queueId) && !records.isPayloadEmpty) {',
    },
    {
      name: 'simulated: retained messages are read before other gateways have stored theirs',
      file: 'packages/gateway/src/deliver/gateway-session.ts',
      find: 'this.#awaitsOthers ||= mesh.waitForRetained(this, replay.askedVersion);',
      put: 'this.#awaitsOthers = false;',
    },
    {
      name: 'simulated: a gateway says that it has stored what it only began to',
      file: 'packages/gateway/src/live/live-mesh.ts',
      find: 'this.#options.retainedInFlight.afterThose(() => {\n      if (peer.incoming === incoming) peer.acted(version);',
      put: '((act: () => void) => act())(() => {\n      if (peer.incoming === incoming) peer.acted(version);',
    },
    {
      name: 'simulated: a page of retained messages begins one further than the last one ended',
      file: 'packages/store/src/retained/retained-reader.ts',
      find: 'rowBase: row.base, offset: next, end };',
      put: 'rowBase: row.base, offset: next + 1, end };',
    },
    {
      name: 'simulated: what a store refused to read is taken for read',
      file: 'packages/store-client/src/retained/retained-lookup.ts',
      find: '!wasAsked(partition) || isElsewhere(partition)',
      put: '!wasAsked(partition)',
    },
    {
      name: 'simulated: what was subscribed before is read again at Retain Handling 1',
      file: 'packages/mqtt/src/protocol/handle-subscribe.ts',
      find: '(asked.retainHandling === 1 && isNew)',
      put: 'asked.retainHandling === 1',
    },
    {
      name: 'simulated: what is new comes with RETAIN, whether or not that was asked for',
      file: 'packages/gateway/src/deliver/gateway-session.ts',
      find: 'message.retain && subscription.retainAsPublished,',
      put: 'message.retain,',
    },
    {
      name: 'simulated: what is retained is read behind a store that does not answer',
      file: 'packages/store-client/src/retained/retained-lookups.ts',
      find: 'const leader = this.#unreached.has(partition) ? 0 : this.#routes.leaderOf(partition);',
      put: 'const leader = this.#routes.leaderOf(partition);',
    },
  ],
};

export const RETAINED_BUGS: PlantedBugs = {
  tests: 'packages/gateway/test/(retained/|live/live-forwarding|live/route-waiters|answer-hold)',
  bugs: [
    bug(
      'deliver/gateway-session',
      'retained messages are read before other gateways have stored theirs, where no route is new',
      'this.#awaitsOthers ||= mesh.waitForRetained(this, replay.askedVersion);',
      'this.#awaitsOthers = false;',
    ),
    bug(
      'deliver/gateway-session',
      'a kept session asks what others have stored before its streams have begun',
      'if (this.stored === undefined) replay.askedVersion',
      'if (this !== undefined) replay.askedVersion',
    ),
    bug(
      'deliver/gateway-session',
      'a live copy that a kept session does not send stands for what is retained',
      '    // It comes by the stream of this filter, if',
      '    if (message.retain) this.overtaken(subscription.topicFilter, message);\n    // It comes by the stream of this filter, if',
    ),
    bug(
      'deliver/gateway-session',
      'a retained message that came live is followed by an older one',
      '    if (message.retain) this.overtaken(subscription.topicFilter, message);\n',
      '',
    ),
    bug(
      'retained/retained-replay',
      'what was stored behind what came live from another gateway is never sent',
      'if (overtaker !== publisher) {',
      'if (overtaker !== publisher && this.#isSecondLook) {',
    ),
    bug(
      'retained/retained-replay',
      'what a second look finds in the place of what was left out is sent, which came live',
      'overtaker === undefined && this.#doubted?.get(topic) === this.#identity()',
      'overtaker === undefined',
    ),
    bug(
      'deliver/gateway-session',
      'a retained message that its client may not hold yet is dropped',
      'if (qos > 0 && !this.mayHoldLive(message)) return false;',
      '',
    ),
    bug(
      'connection/connection',
      'a connection turns without rest while a page of retained messages is on its way',
      '    if (!this.#closing && this.#reader.isBehind && !this.#reader.paused) this.#read();\n',
      '    if (!this.#closing && !this.#reader.paused) this.#heard(0);\n',
    ),
    bug(
      'deliver/gateway-session',
      'a partition that was without a leader is read before another gateway has stored there what was under way',
      'this.#services.mesh.askAgainForRetained()',
      'this.#services.mesh.askForRetained()',
    ),
    bug(
      'retained/retained-replay',
      'what came live while a partition could not be read is followed by an older one',
      'this.#pages?.mayBring(topic) === false) return;',
      'this.#pages?.mayBring(topic) === true) return;',
    ),
    bug(
      'live/live-mesh',
      'a SUBACK that waits for less takes away the question of who reads retained messages',
      'this.#awaitedVersion = Math.max(this.#awaitedVersion, version);',
      'this.#awaitedVersion = version;',
    ),
    bug(
      'live/live-mesh',
      'what was asked while a gateway owed an answer is never asked',
      '    peer.ask(this.#version, nowMs);\n',
      '',
    ),
    bug(
      'live/live-mesh',
      'a gateway is told what its peer has stored before it is answered',
      'this.#options.retainedInFlight.afterThose(() => {\n      if (peer.incoming === incoming) peer.acted(version);\n    });',
      'if (peer.incoming === incoming) peer.acted(version);',
    ),
    bug(
      'live/live-peer',
      'questions pile up at a gateway whose stores are slow',
      'if (version <= this.#toldVersion || this.seenVersion < this.#askedVersion) return;',
      'if (version <= this.#toldVersion) return;',
    ),
    bug('live/live-peer', 'a gateway that hung once is never waited for again', '    this.isSilent = false;\n', ''),
    bug(
      'live/live-peer',
      'a question that went with its channel is waited for as if it were under way',
      '    this.#askedVersion = 0;\n',
      '',
    ),
    bug(
      'live/route-waiters',
      'who comes late with an older question hides that newer ones are overdue',
      'version: Math.max(version, newest), deadlineMs',
      'version, deadlineMs',
    ),
    bug(
      'live/route-waiters',
      'a line that is made shorter loses somebody',
      'this.#line.splice(0, this.#head);',
      'this.#line.splice(0, this.#head + 1);',
    ),
    bug(
      'retained/retained-in-flight',
      'who waits is told by the first answer',
      'if (oldest === undefined || oldest.count > 0) return;',
      'if (oldest === undefined) return;',
    ),
  ],
};
