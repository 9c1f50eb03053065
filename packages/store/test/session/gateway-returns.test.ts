import { beforeEach, describe, expect, test } from '@jest/globals';
import { GatewayReturns } from '../../src/session/gateway-returns.ts';

const NOBODY = Number.NEGATIVE_INFINITY;
const { BEGUN_MS_MAX, LEFT_MS_MAX } = GatewayReturns;

let nowMs = 0;
let here = new Set<number>();
let returns = new GatewayReturns({ nowMs: () => 0, monotonicMs: () => nowMs }, () => [1, 2]);
const untilMs = (): number => returns.untilMs((gateway) => here.has(gateway));

beforeEach(() => {
  nowMs = 1_000;
  here = new Set();
  returns = new GatewayReturns({ nowMs: () => 0, monotonicMs: () => nowMs }, () => [1, 2]);
});

function came(gateway: number): void {
  here.add(gateway);
  returns.came(gateway);
}

function left(gateway: number): void {
  here.delete(gateway);
  returns.left(gateway);
}

describe('a gateway is awaited', () => {
  test('by a process that has just begun, when it may live, until it came or had the time to', () => {
    returns.begin();
    expect(untilMs()).toBe(nowMs + BEGUN_MS_MAX);
    came(1);
    expect(untilMs()).toBe(nowMs + BEGUN_MS_MAX);
    came(2);
    expect(untilMs()).toBe(NOBODY);
    here.delete(2);
    nowMs += BEGUN_MS_MAX;
    expect(untilMs()).toBe(NOBODY);
  });

  test('for a moment when it has lost its channel, whoever it is', () => {
    came(3);
    left(3);
    expect(untilMs()).toBe(nowMs + LEFT_MS_MAX);
    came(3);
    expect(untilMs()).toBe(NOBODY);
    left(3);
    nowMs += LEFT_MS_MAX - 1;
    expect(untilMs()).toBe(nowMs + 1);
    nowMs++;
    expect(untilMs()).toBe(NOBODY);
  });

  test('not when it never was here, or went long ago', () => {
    expect(untilMs()).toBe(NOBODY);
    came(1);
    left(1);
    nowMs += 60_000;
    expect(untilMs()).toBe(NOBODY);
  });
});
