import { describe, expect, it } from '@jest/globals';
import type { ClusterNode, ClusterPartition, ClusterStatus } from '@sluice/rpc/contract/cluster-management';
import type { ClockNamed } from '../../src/problems/clock-problems.ts';
import { type CopyTrouble, clusterProblems, type NodeTroubleNamed } from '../../src/problems/cluster-problems.ts';

type Status = Omit<ClusterStatus, 'problems'>;

function node(name: string, over: Partial<ClusterNode> = {}): ClusterNode {
  const roles = ['gateway', 'store', 'coordinator'];
  const more = {
    nodeId: 1,
    address: `${name}:1`,
    rack: '',
    version: '1',
    featureLevels: { min: 1, max: 2 },
    leads: 2,
    replicas: 4,
  };
  return { name, roles, state: 'active', alive: true, ...more, ...over };
}

function partition(number: number, over: Partial<ClusterPartition> = {}): ClusterPartition {
  return { partition: number, leader: 'a', replicas: ['a', 'b', 'c'], ...over };
}

function status(over: Partial<Status> = {}): Status {
  const nodes = ['a', 'b', 'c'].map((name) => node(name));
  const partitions = [1, 2, 3, 4].map((number) => partition(number));
  const featureLevel = { level: 2, isHeld: false };
  return { clusterId: 'x', epoch: 1, replicationFactor: 3, featureLevel, coordinator: 'a', nodes, partitions, ...over };
}

/** As lines: severity, message, what to do. */
function told(
  over: Partial<Status>,
  troubles: readonly CopyTrouble[] = [],
  nodeTroubles: readonly NodeTroubleNamed[] = [],
  clocks: readonly ClockNamed[] = [],
): string[] {
  return clusterProblems(status(over), troubles, nodeTroubles, clocks).map(
    ({ severity, message, hint }) => `${severity}: ${message} | ${hint}`,
  );
}

describe('what an operator is told of a cluster', () => {
  it('nothing while all is well', () => {
    expect(told({})).toEqual([]);
  });

  it('a node that is away, and what becomes of its copies', () => {
    const nodes = [node('a'), node('b', { alive: false }), node('c')];
    expect(told({ nodes })).toEqual([
      'failing: b is not heard of: 4 copies of partitions are away. | Start it again, or see why it cannot reach the coordinators. Away for longer than cluster.replaceAfter, its copies are made anew on other stores if there are any. If it never comes back: sluice cluster leave b',
    ]);
    expect(told({ nodes: [...status().nodes, node('g', { roles: ['gateway'], alive: false, replicas: 0 })] })).toEqual([
      'failing: g is not heard of. | Start it again, or see why it cannot reach the coordinators. If it never comes back: sluice cluster leave g',
    ]);
  });

  it('what holds the feature level back, that somebody holds it, and who is too old for it', () => {
    const levels = (min: number, max: number) => ({ featureLevels: { min, max } });
    const mixed = [node('a', levels(1, 3)), node('b', levels(1, 2)), node('c', { featureLevels: null })];
    expect(told({ nodes: mixed })).toEqual([
      'notice: The feature level stays at 2 because of b and c: others support 3. | It rises by itself when every node is upgraded and heard of.',
    ]);
    expect(told({ nodes: mixed, featureLevel: { level: 2, isHeld: true } })).toEqual([
      'notice: The feature level is held at 2; there are nodes that support 3. | When no node is to go back to a former build: sluice cluster release',
    ]);
    expect(told({ featureLevel: { level: 2, isHeld: true } })[0]).toMatch(/^notice: The feature level is held at 2\. /);
    expect(told({ nodes: [node('a'), node('b'), node('c', levels(1, 1))] })).toEqual([
      'failing: c cannot take part: the cluster is at feature level 2, and this build supports level 1. | On c: start a build that supports it, on the same data: the level of a cluster never goes down.',
    ]);
  });

  it('partitions without a leader: those that cannot have one, and those that soon will', () => {
    const nodes = [node('a'), node('b', { alive: false }), node('c', { alive: false })];
    const partitions = [1, 2, 3].map((number) => partition(number, { leader: null }));
    expect(told({ nodes, partitions })[0]).toBe(
      'failing: Nobody leads partitions 1-3: what is published to their queues waits or is refused. 2 of 3 copies are on b, c, not heard of. | Start 1 of b, c again, with the same data.',
    );
    expect(told({ partitions: [partition(7, { leader: null }), partition(8)] })).toEqual([
      'failing: Nobody leads partition 7: what is published to its queues waits or is refused. | An election takes a second or two: look again. If it stays so, look at the logs of a, b, c.',
    ]);
    const alone = [node('a', { alive: false }), node('b'), node('c')];
    expect(told({ nodes: alone, partitions: [partition(7, { leader: null, replicas: ['a'] })] })[0]).toBe(
      'failing: Nobody leads partition 7: what is published to its queues waits or is refused. 1 of 1 copy is on a, not heard of. | Start a again, with the same data.',
    );
  });

  it('that no coordinator answers, and that the rest is from before', () => {
    expect(told({ coordinator: null })).toEqual([
      'failing: No coordinator answers: nothing can be created or changed. Messages flow. The rest is what this node sees by itself. | At least 2 of a, b, c must run and reach each other: start those that are down, and look at their logs and /readyz.',
    ]);
  });

  it('copies that do not count: behind, or not to be trusted', () => {
    const troubles: CopyTrouble[] = [
      { partition: 4, node: 'b', kind: 'catching-up' },
      { partition: 2, node: 'b', kind: 'catching-up' },
      { partition: 3, node: 'b', kind: 'catching-up' },
      { partition: 1, node: 'c', kind: 'impaired' },
      { partition: 2, node: 'c', kind: 'parted' },
    ];
    expect(told({}, troubles)).toEqual([
      'degraded: b is catching up with partitions 2-4. | Wait, and stop no other store until this line is gone.',
      'degraded: The copy on c of partition 1 cannot be trusted: it is made anew from the others. | Stop no other store until this line is gone. If it stays, look at the log of c; a disk that damages data is to be replaced.',
      'degraded: c has no connection to the coordinators since a moment: its copy of partition 2 may be away. | Stop no other store until this line is gone: it is back within seconds, or is said to be not heard of.',
    ]);
  });

  it('a leader that hears nothing of a node which others hear', () => {
    const partitions = [partition(1), partition(2, { leader: 'c' }), partition(3), partition(4)];
    const troubles = [1, 2].map((number): CopyTrouble => ({ partition: number, node: 'b', kind: 'unheard' }));
    const hint = (between: string) =>
      `Look at the network between ${between}: firewall, routes, and whether each reaches the gRPC address of the other. Stop no other store until this line is gone.`;
    expect(told({ partitions }, troubles.slice(0, 1))).toEqual([
      `degraded: a hears nothing of b, which lives: its copy of partition 1 gets nothing new. | ${hint('a and b')}`,
    ]);
    expect(told({ partitions }, troubles)).toEqual([
      `degraded: a, c hear nothing of b, which lives: its copies of partitions 1-2 get nothing new. | ${hint('a, c and b')}`,
    ]);
  });

  it('a node whose disk refuses publishes: which one, how bad it is, and what to type there', () => {
    const disk = (kind: NodeTroubleNamed['kind'], over: Partial<Status> = {}) =>
      told(over, [], [{ node: 'b', kind }])[0]?.split(' | ') ?? [];
    const [low, room] = disk('disk-low');
    expect(low).toBe(
      'failing: The disk of b is almost full: it refuses publishes, and settling goes on. It leads 2 partitions.',
    );
    expect(room).toMatch(/^On b: df -h\..* sluice queues purge NAME/);
    // Others with room lead in its place: publishes are taken.
    const nodes = [node('a'), node('b', { leads: 0 }), node('c')];
    expect(disk('disk-low', { nodes })[0]).toBe(
      'degraded: The disk of b is almost full: it refuses publishes, and settling goes on.',
    );
    expect(disk('disk-full', { nodes })[0]).toBe(
      'failing: The disk of b is full: it refuses publishes, and its writes wait for space.',
    );
    const [unopened, limit] = disk('files-exhausted', { nodes });
    expect(unopened).toBe(
      'failing: b has no file descriptor left: it cannot open the files of its data, and what needs them waits.',
    );
    expect(limit).toMatch(/ulimit -n, LimitNOFILE=/);
    expect(limit).not.toMatch(/df -h|purge/);
    expect(disk('disk-hangs', { nodes })[0]).toMatch(/^failing: The disk of b hangs/);
    const [failed, again] = disk('disk-failed');
    expect(failed).toBe('failing: The disk of b failed: it acknowledges nothing more until it is started again.');
    expect(again).toMatch(/same node\.name and an empty directory/);
    // A later build says what this one has no words for.
    expect(disk('disk-melts' as never)[0]).toBe(
      'failing: b says that its disk does not do what it should: disk-melts.',
    );
  });

  it('a node without copies whose connection broke just now', () => {
    const nodes = [...status().nodes, node('g', { roles: ['gateway'], replicas: 0 })];
    expect(told({ nodes }, [], [{ node: 'g', kind: 'parted' }])).toEqual([
      'degraded: g has no connection to the coordinators since a moment. | It is back within seconds, or is said to be not heard of.',
    ]);
    expect(told({}, [{ partition: 2, node: 'c', kind: 'parted' }], [{ node: 'c', kind: 'parted' }])).toHaveLength(1);
  });

  it('a clock that is wrong, and clocks of which nobody knows which one is', () => {
    const clocks = (...ahead: (number | undefined)[]): ClockNamed[] =>
      ahead.map((aheadMs, i) => ({ node: 'abc'[i] as string, aheadMs }));
    expect(told({}, [], [], clocks(0, 10_000, -10_000))).toEqual([]);
    expect(told({}, [], [], clocks(0, 5_400_000, -20_000))).toEqual([
      'degraded: The clock of b is 1h 30m ahead of the others: it goes by their time, for as long as most of them agree. | On b: date -u; timedatectl; chronyc tracking. Set it right: nothing has to be restarted.',
      expect.stringMatching(/^degraded: The clock of c is 20s behind the others/),
    ]);
    expect(told({}, [], [], clocks(undefined, undefined, undefined))).toEqual([
      'failing: The clocks of a, b, c do not agree, and no majority of them does: each node goes by its own, and messages and sessions may expire early or late. | On each: date -u; timedatectl. Set those right that are wrong; nodes see it within seconds.',
    ]);
    // Not all have been heard yet, or it is one alone.
    expect(told({}, [], [], clocks(undefined, undefined))).toEqual([]);
  });

  it('what somebody wanted so, last', () => {
    const nodes = [
      node('a', { alive: false }),
      node('b', { state: 'draining', leads: 0 }),
      node('c', { state: 'leaving' }),
    ];
    expect(told({ nodes }).map((line) => line.split(' |')[0])).toEqual([
      'failing: a is not heard of: 4 copies of partitions are away.',
      'notice: b is draining: it leads nothing, and its clients go elsewhere.',
      'notice: c is leaving: 4 copies to be made elsewhere.',
      'notice: 3 copies of every message are wanted, and there are 2 stores.',
      'notice: There are 2 coordinators: an even number survives no more failures than 1.',
    ]);
    expect(told({ nodes: [node('a')], partitions: [partition(1, { replicas: ['a'] })] })).toEqual([
      'notice: 3 copies of every message are wanted, and there is 1 store. | Start more stores, or say that it is meant so: sluice cluster replicas 1',
    ]);
    expect(told({ replicationFactor: 2 })).toEqual([
      'notice: 2 copies of every message let no more stores be away than 1 would: a majority of them must be there. | Have one more: sluice cluster replicas 3',
    ]);
  });
});
