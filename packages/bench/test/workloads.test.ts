import { expect, test } from '@jest/globals';
import type { FlowWorkload, Workload } from '@sluice/bench/run/workload';
import { allWorkloads, quickWorkloads, shortened } from '@sluice/bench/run/workloads';

function flowNamed(workloads: readonly Workload[], name: string): FlowWorkload {
  const found = workloads.find((workload) => workload.name === name);
  if (found?.kind !== 'flow') throw new Error(`there is no flow ${name}`);
  return found;
}

test('a quick row is the same load as the long one, for a shorter time', () => {
  for (const quick of quickWorkloads()) {
    const long = flowNamed(allWorkloads(), quick.name);
    const { flow, perSecond, title, measureMs } = flowNamed([quick], quick.name);
    expect({ flow, perSecond, title }).toEqual({ flow: long.flow, perSecond: long.perSecond, title: long.title });
    expect(measureMs).toBeLessThan(long.measureMs);
  }
});

test('a shortened row that quick has is the quick one', () => {
  for (const quick of quickWorkloads()) {
    expect(shortened(flowNamed(allWorkloads(), quick.name))).toEqual(quick);
  }
});

test('latency is measured when the code of a lone message has run, also when it is short', () => {
  for (const workloads of [allWorkloads(), quickWorkloads()]) {
    const { warmUpMessages = 0, warmUpMs, perSecond } = flowNamed(workloads, 'latency');
    expect((warmUpMessages / perSecond) * 1_000).toBeGreaterThan(warmUpMs);
  }
});
