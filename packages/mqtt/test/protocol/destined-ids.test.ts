import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ScriptWorld } from './script-world.ts';

const IDS = 6;
/** Of a message at QoS 2, which is destined for none and kept before it is sent. */
const EXACT = -1;

type Step =
  | { type: 'stored'; qos: 1 | 2; destinedId: number; isUnsure: boolean }
  | { type: 'live' }
  | { type: 'answer'; pick: number }
  | { type: 'bound' }
  | { type: 'move' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('stored' as const),
      qos: fc.constantFrom(1 as const, 1 as const, 1 as const, 2 as const),
      destinedId: fc.integer({ min: 1, max: IDS }),
      isUnsure: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ type: 'live' as const }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('answer' as const), pick: fc.nat(5) }) },
  { weight: 4, arbitrary: fc.constant({ type: 'bound' as const }) },
  fc.constant({ type: 'move' as const }),
);

/** What one client was sent and what was kept of it, in a session whose messages are destined for few packet ids. */
class Trace {
  readonly world = new ScriptWorld();
  /** Of messages at QoS 1, by number: for which id; 0: none. */
  readonly destined: number[] = [];
  readonly unsure = new Set<number>();
  /** By packet id: what the client has, and has not answered. */
  readonly open = new Map<number, number>();
  readonly kept = new Set<number>();
  readonly asked: number[] = [];
  readonly firstSent: number[] = [];
  connections = 0;

  connect(): void {
    this.open.clear();
    this.run(`c${++this.connections} > CONNECT v5 id=x rm=5${this.connections > 1 ? ' clean=0' : ''}`);
  }

  run(line: string): void {
    this.world.run(line);
    for (const followed of this.world.take()) this.#followed(followed);
  }

  #followed(line: string): void {
    const bind = /^keep: bind (\d+)/.exec(line);
    if (bind !== null) this.asked.push(Number(bind[1]));
    const finished = /^keep: finished (\d+)/.exec(line);
    if (finished !== null) this.kept.delete(Number(finished[1]));
    const sent = /< PUBLISH t (\d+) q([12]) id=(\d+)( dup)?/.exec(line);
    if (sent === null) return;
    const [number, packetId] = [Number(sent[1]), Number(sent[3])];
    expect([line, this.open.get(packetId)]).toEqual([line, undefined]);
    this.open.set(packetId, number);
    const isFirst = !this.firstSent.includes(number);
    expect([line, sent[4] !== undefined]).toEqual([line, !isFirst || this.unsure.has(number)]);
    if (isFirst) this.firstSent.push(number);
    const destinedId = this.destined[number] ?? 0;
    // Whoever comes next finds it: by its place, or in the log.
    if (destinedId !== 0) expect([line, packetId === destinedId || this.kept.has(packetId)]).toEqual([line, true]);
    // Here nothing has such an id that was not sent by this gateway: who waits for it gets it.
    if (destinedId !== 0 && this.unsure.has(number)) expect([line, packetId]).toEqual([line, destinedId]);
  }
}

test('no id means two messages, whoever has the session next finds each, and all come in their order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const trace = new Trace();
      const atLeastOnce: number[] = [];
      let number = -1;
      trace.connect();
      trace.run('keep x');
      trace.run(`leave-out x ${IDS + 1} ${IDS + 1}`);
      const answer = (pick: number): void => {
        const packetId = [...trace.open.keys()][pick];
        if (packetId === undefined) return;
        const isExact = (trace.destined[trace.open.get(packetId) as number] ?? 0) === EXACT;
        trace.open.delete(packetId);
        trace.run(`c${trace.connections} > ${isExact ? 'PUBREC' : 'PUBACK'} ${packetId}`);
        if (!isExact) return;
        trace.run(`receipt x ${packetId}`);
        trace.run(`c${trace.connections} > PUBCOMP ${packetId}`);
      };
      const bound = (): void => {
        const packetId = trace.asked.shift();
        if (packetId === undefined) return;
        trace.kept.add(packetId);
        trace.run(`bound x ${packetId}`);
      };
      for (const one of steps) {
        if (one.type === 'stored') {
          number++;
          trace.destined[number] = one.qos === 2 ? EXACT : one.destinedId;
          if (one.qos === 1) atLeastOnce.push(number);
          if (one.qos === 1 && one.isUnsure) trace.unsure.add(number);
          const destined = one.qos === 1 ? ` for=${one.destinedId}${one.isUnsure ? ' unsure' : ''}` : '';
          trace.run(`stored x t ${number} q${one.qos}${destined}`);
        } else if (one.type === 'live') {
          number++;
          trace.destined[number] = 0;
          atLeastOnce.push(number);
          trace.run(`live x t ${number} q1`);
        } else if (one.type === 'answer') answer(one.pick);
        else if (one.type === 'bound') bound();
        else trace.connect();
      }
      // In the end all of them come.
      while (trace.open.size > 0 || trace.asked.length > 0) {
        bound();
        answer(0);
      }
      expect(trace.firstSent.filter((each) => atLeastOnce.includes(each))).toEqual(atLeastOnce);
    }),
    { numRuns: 500 },
  );
});
