import type { Counter, Metrics } from '@sluice/common/metrics';
import type { Partition } from '../partition/partition.ts';
import type { WillStep } from './partition-wills.ts';

/** Sessions of the partitions led here. Two numbers a partition at each look, whatever the number of sessions. */
export class SessionMetrics {
  /** Messages that sessions never got because a stream was full. */
  readonly overflowed: Counter;
  readonly wills: Readonly<Record<WillStep, Counter>>;

  constructor(metrics: Metrics, partitions: ReadonlyMap<number, Partition>) {
    this.overflowed = metrics.counter(
      'sluice_sessions_stream_dropped_total',
      'Oldest messages dropped from streams of sessions that were at their bounds',
    );
    const wills = (step: WillStep): Counter =>
      metrics.counter('sluice_wills_total', 'Wills of partitions led here, by what became of them', { step });
    this.wills = { fired: wills('fired'), cancelled: wills('cancelled'), published: wills('published') };
    const led = (): Partition[] => [...partitions.values()].filter(({ leads }) => leads);
    metrics.collect('sluice_sessions_stored', 'Sessions kept in partitions led here, by state', 'gauge', () => {
      let connected = 0;
      let all = 0;
      for (const { machine } of led()) {
        connected += machine.sessions.connectedCount;
        all += machine.sessions.sessionCount;
      }
      return [
        [{ state: 'connected' }, connected],
        [{ state: 'disconnected' }, all - connected],
      ];
    });
    metrics.collect('sluice_wills', 'Wills in partitions led here, by what they wait for', 'gauge', () => {
      let left = 0;
      let waiting = 0;
      let due = 0;
      for (const { machine } of led()) {
        const { wills } = machine.sessions;
        left += wills.leftCount;
        waiting += wills.waitingCount;
        due += wills.dueCount;
      }
      return [
        [{ state: 'connected' }, left],
        [{ state: 'delayed' }, waiting],
        [{ state: 'due' }, due],
      ];
    });
    metrics.collect('sluice_sessions_streams', 'Topic filters of sessions in partitions led here', 'gauge', () => {
      return [[{}, led().reduce((sum, { machine }) => sum + machine.sessions.streamCount, 0)]];
    });
  }
}
