import { assert } from '@sluice/common/assert';
import type { MembershipChange } from '../../src/conf-change.ts';
import type { Message } from '../../src/message.ts';
import type { Refused } from '../../src/raft.ts';
import { Cluster, type ClusterConfig, NOBODY } from './cluster.ts';
import type { Packet, Peer } from './peer.ts';

/** What a script plays with. */
export class Stage {
  #cluster: Cluster | undefined;
  /** The answer to the last proposal, transfer or read. */
  answer: unknown;
  readonly kept = new Map<string, Packet[]>();

  get cluster(): Cluster {
    assert(this.#cluster !== undefined, 'a script starts with `group`');
    return this.#cluster;
  }
  set cluster(cluster: Cluster) {
    this.#cluster = cluster;
  }
  peer(word: string | undefined): Peer {
    return this.cluster.peer(Number(word));
  }
}

export type Verb = (stage: Stage, words: readonly string[]) => void;

const SWITCHES: Record<string, (config: ClusterConfig, value: string) => void> = {
  'pre-vote': (config, value) => {
    config.preVote = value === 'on';
  },
  'check-quorum': (config, value) => {
    config.checkQuorum = value === 'on';
  },
  'append-bytes': (config, value) => {
    config.appendBytesMax = Number(value);
  },
  inflight: (config, value) => {
    config.inflightAppendsMax = Number(value);
  },
  'promotion-lag': (config, value) => {
    config.promotionLagMax = Number(value);
  },
};

/** One entry a verb; the words after the verb are its arguments. A peer named by a verb settles after it. */
export const VERBS: Record<string, Verb> = {
  /** group 3 [pre-vote off] [check-quorum off] [append-bytes 100] [inflight 2] [promotion-lag 0] */
  group(stage, [size, ...switches]) {
    const config: ClusterConfig = { electionTicks: 10, heartbeatTicks: 1 };
    for (let i = 0; i < switches.length; i += 2) {
      const apply = SWITCHES[switches[i] as string];
      assert(apply !== undefined, `known switch ${switches[i]}`);
      apply(config, switches[i + 1] as string);
    }
    // Chosen, not drawn: without a leader peer n starts an election after 8 + 2n ticks.
    stage.cluster = new Cluster(Number(size), config, (id) => ({ below: (bound) => (2 * id - 2) % bound }));
  },

  /** newcomer 4: an empty peer that waits to be added */
  newcomer(stage, [id]) {
    stage.cluster.addPeer(Number(id), NOBODY);
  },

  /** tick 1 10 | tick 2,3 10 | tick all 1 */
  tick(stage, [who, times]) {
    const peers = who === 'all' ? stage.cluster.live : (who as string).split(',').map((id) => stage.peer(id));
    for (let i = 0; i < Number(times ?? 1); i++) {
      for (const peer of peers) {
        peer.group.tick();
        stage.cluster.settle(peer);
      }
    }
  },

  campaign(stage, [id]) {
    stage.peer(id).group.campaign();
    stage.cluster.settle(stage.peer(id));
  },

  /** propose 1 a b: two entries */
  propose(stage, [id, ...data]) {
    const peer = stage.peer(id);
    stage.answer = peer.group.propose(data.map((word) => Buffer.from(word)));
    stage.cluster.settle(peer);
  },

  /** membership 1 add-learner 4 remove 2 */
  membership(stage, [id, ...words]) {
    const change: MembershipChange = { addVoters: [], addLearners: [], remove: [] };
    const lists: Record<string, number[]> = {
      'add-voter': change.addVoters as number[],
      'add-learner': change.addLearners as number[],
      remove: change.remove as number[],
    };
    for (let i = 0; i < words.length; i += 2) {
      const list = lists[words[i] as string];
      assert(list !== undefined, `known change ${words[i]}`);
      list.push(Number(words[i + 1]));
    }
    stage.answer = stage.peer(id).group.proposeMembership(change);
    stage.cluster.settle(stage.peer(id));
  },

  transfer(stage, [from, to]) {
    stage.answer = stage.peer(from).group.transferLeadership(Number(to));
    stage.cluster.settle(stage.peer(from));
  },

  /** read 1 77: asks peer 1 for a read with context 77 */
  read(stage, [id, context]) {
    stage.answer = stage.peer(id).group.requestRead(Number(context));
    stage.cluster.settle(stage.peer(id));
  },

  /** forget-leader 2: its host saw the leader's node go */
  'forget-leader'(stage, [id]) {
    stage.answer = stage.peer(id).group.forgetLeader();
    stage.cluster.settle(stage.peer(id));
  },
  'step-down'(stage, [id]) {
    stage.peer(id).group.stepDown();
    stage.cluster.settle(stage.peer(id));
  },

  crash(stage, [id]) {
    stage.peer(id).crash();
  },
  restart(stage, [id]) {
    stage.peer(id).restart();
    stage.cluster.settle(stage.peer(id));
  },
  compact(stage, [id]) {
    stage.peer(id).compact();
  },
  unreachable(stage, [id, peer]) {
    stage.peer(id).group.reportUnreachable(Number(peer));
  },

  /** report-snapshot 1 3 failed */
  'report-snapshot'(stage, [id, peer, outcome]) {
    stage.peer(id).group.reportSnapshot(Number(peer), outcome === 'ok');
    stage.cluster.settle(stage.peer(id));
  },

  /** disk 2 hold | disk 2 release */
  disk(stage, [id, what]) {
    stage.cluster.holdDisk(Number(id), what === 'hold');
    if (what === 'release') stage.cluster.settle(stage.peer(id));
  },
  /** write 2: the oldest write of a held disk becomes durable */
  write(stage, [id]) {
    assert(stage.peer(id).finishWrite(), `peer ${id} has a write under way`);
    stage.cluster.settle(stage.peer(id));
  },

  /** partition 1|2 3 */
  partition(stage, words) {
    const islands = words.join(' ').split('|');
    stage.cluster.partition(islands.map((island) => new Set(island.trim().split(/\s+/).map(Number))));
  },
  heal(stage) {
    stage.cluster.heal();
  },

  stabilize(stage) {
    stage.cluster.stabilize();
  },
  /** deliver | deliver 1>2 | deliver 1>2 append: once, the answers stay under way */
  deliver(stage, words) {
    for (const packet of take(stage.cluster, words)) stage.cluster.deliver(packet);
  },
  /** reverse 1>2: the last sent arrives first */
  reverse(stage, words) {
    for (const packet of take(stage.cluster, words).reverse()) stage.cluster.deliver(packet);
  },
  drop(stage, words) {
    const taken = take(stage.cluster, words);
    assert(taken.length > 0, 'there is something to drop');
  },
  /** keep old 2>1 append-response: takes the messages off the network, for `replay` */
  keep(stage, [name, ...words]) {
    const taken = take(stage.cluster, words);
    assert(taken.length > 0, 'there is something to keep');
    stage.kept.set(name as string, taken);
  },
  /** copy old 2>1 append-response: as `keep`, and the messages stay under way */
  copy(stage, [name, ...words]) {
    const found = stage.cluster.packets.filter((packet) => matches(packet.message, words));
    assert(found.length > 0, 'there is something to copy');
    stage.kept.set(name as string, found);
  },
  replay(stage, [name]) {
    const packets = stage.kept.get(name as string);
    assert(packets !== undefined, `${name} was kept`);
    for (const packet of packets) stage.cluster.deliver(packet);
  },

  /** quiesce 1: the leader sleeps and its notice reaches every connected peer */
  quiesce(stage, [id]) {
    const notice = stage.peer(id).group.quiesce();
    stage.answer = notice !== undefined;
    if (notice === undefined) return;
    for (const peer of stage.cluster.live) {
      if (peer.id !== Number(id) && stage.cluster.connected(Number(id), peer.id)) peer.group.followQuiesce(notice);
    }
  },
  wake(stage, [id]) {
    stage.peer(id).group.wake();
    stage.cluster.settle(stage.peer(id));
  },
};

export function isRefusal(answer: unknown): answer is Refused {
  return typeof answer === 'object' && answer !== null && 'refused' in answer;
}

/** `words`: nothing, `1>2`, or `1>2 append`. */
export function matches(message: Message, words: readonly string[]): boolean {
  const [link, type] = words;
  if (link !== undefined && link !== `${message.from}>${message.to}`) return false;
  return type === undefined || type === message.type;
}

function take(cluster: Cluster, words: readonly string[]): Packet[] {
  const taken = cluster.packets.filter((packet) => matches(packet.message, words));
  cluster.packets = cluster.packets.filter((packet) => !matches(packet.message, words));
  return taken;
}
