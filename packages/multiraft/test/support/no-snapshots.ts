import type { SnapshotHost, SnapshotPort } from '../../src/snapshot/snapshot-port.ts';

/** For groups whose logs reach back to their beginning. */
export function noSnapshots(host: SnapshotHost): SnapshotPort {
  return {
    send(replica, message) {
      replica.raft.reportSnapshot(message.to, false);
      host.wake(replica);
    },
    accept: (channel) => channel.close(),
    install: () => Promise.reject(new Error('no snapshot was expected')),
    tick: () => {},
    logFloor: () => Number.POSITIVE_INFINITY,
    abandon: () => Promise.resolve(),
  };
}
