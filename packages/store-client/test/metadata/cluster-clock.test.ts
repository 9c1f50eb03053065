import { beforeEach, describe, expect, it } from '@jest/globals';
import { CLOCK_TOLERANCE_MS } from '@sluice/common/clock';
import { type LogFields, silentLogger } from '@sluice/common/logger';
import { ClusterClock } from '../../src/metadata/cluster-clock.ts';

const TODAY = 1_700_000_000_000;
const HOUR = 3_600_000;

/** The machine's clocks, by hand. */
const machine = {
  wall: TODAY,
  monotonic: 500,
  nowMs: () => machine.wall,
  monotonicMs: () => machine.monotonic,
};

let clock: ClusterClock;
let said: string[];

function pass(ms: number): void {
  machine.wall += ms;
  machine.monotonic += ms;
}

/** What the coordinator says of the clock as it is read now. */
function told(aheadMs: number | undefined, after: () => void = () => pass(1_000)): void {
  const { wallMs, monotonicMs } = clock.reading();
  after();
  clock.heard([{ nodeId: 7, wallMs, monotonicMs, aheadMs }], 7);
}

beforeEach(() => {
  machine.wall = TODAY;
  machine.monotonic = 500;
  begin();
});

function begin(): void {
  said = [];
  const say = (_fields: LogFields, message: string): void => {
    said.push(message);
  };
  clock = new ClusterClock({ clock: machine, logger: { ...silentLogger, info: say, warn: say, error: say } });
}

describe('the time that a node goes by', () => {
  it('is that of its machine, also when nobody has asked for a day', () => {
    pass(24 * HOUR);
    expect(clock.nowMs()).toBe(TODAY + 24 * HOUR);
    expect(said).toEqual([]);
  });

  it.each([HOUR, -HOUR, 5 * 365 * 24 * HOUR])('a step by %i is not followed until others agree with it', (step) => {
    machine.wall += step;
    expect(clock.nowMs()).toBe(TODAY);
    pass(60_000);
    expect(clock.nowMs()).toBe(TODAY + 60_000);
    // Two more steps are no way around it.
    machine.wall += step;
    expect(clock.nowMs()).toBe(TODAY + 60_000);
    machine.wall -= step;
    told(0);
    expect(clock.nowMs()).toBe(TODAY + step + 61_000);
    expect(clock.isCorrected).toBe(false);
    expect(said.at(-1)).toMatch(/agrees with the cluster/);
    machine.wall += step;
    told(step);
    expect(said.slice(-2)).toEqual([expect.stringMatching(/jumped/), expect.stringMatching(/is wrong/)]);
  });

  it('a clock that was wrong from the start is put aside, and gone by again when it is set right', () => {
    machine.wall += HOUR;
    begin();
    expect(clock.nowMs()).toBe(TODAY + HOUR);
    told(HOUR + 1);
    expect(clock.nowMs()).toBe(TODAY + 1_000 - 1);
    expect(clock.isCorrected).toBe(true);
    expect(said.at(-1)).toMatch(/is wrong/);
    // The wire makes a difference of some milliseconds, which is none.
    told(HOUR - 300);
    expect(clock.nowMs()).toBe(TODAY + 2_000 - 1);
    machine.wall -= HOUR;
    expect(clock.nowMs()).toBe(TODAY + 2_000 - 1);
    told(0);
    expect(clock.nowMs()).toBe(TODAY + 3_000);
    expect(clock.aheadMs).toBe(0);
  });

  it('what is near the others’ time is gone by', () => {
    told(CLOCK_TOLERANCE_MS);
    expect(clock.isCorrected).toBe(false);
    told(-CLOCK_TOLERANCE_MS - 1);
    expect(clock.nowMs()).toBe(TODAY + 2_000 + CLOCK_TOLERANCE_MS + 1);
  });

  it('what was said of it before a step says nothing of it now', () => {
    told(0, () => {
      pass(500);
      machine.wall += HOUR;
    });
    expect(clock.nowMs()).toBe(TODAY + 500);
    // That it was told of comes late, too, and would make it look behind.
    told(-20_000, () => pass(ClusterClock.ROUND_MS_MAX + 1));
    expect(clock.nowMs()).toBe(TODAY + 500 + ClusterClock.ROUND_MS_MAX + 1);
  });

  it('nobody says anything: time goes on as it does', () => {
    machine.wall += HOUR;
    told(undefined);
    expect(clock.nowMs()).toBe(TODAY + 1_000);
    expect(clock.aheadMs).toBeUndefined();
  });

  it('whether it is right is known when somebody has said so, or after a while', () => {
    expect(clock.isConfirmed()).toBe(false);
    pass(ClusterClock.CONFIRM_MS_MAX - 1);
    told(undefined, () => {});
    expect(clock.isConfirmed()).toBe(false);
    pass(1);
    expect(clock.isConfirmed()).toBe(true);
    const other = new ClusterClock({ clock: machine, logger: silentLogger });
    other.heard([{ nodeId: 7, ...other.reading(), aheadMs: 3 }], 7);
    expect(other.isConfirmed()).toBe(true);
  });
});
