import { assert } from '@sluice/common/assert';
import type { Prng } from '@sluice/common/prng';
import type { RaftConfig } from '../../src/config.ts';
import type { Membership } from '../../src/entry.ts';
import type { Packet } from './peer.ts';
import { Peer } from './peer.ts';
import { Safety } from './safety.ts';

export type ClusterConfig = Omit<RaftConfig, 'peerId' | 'prng'>;

export const NOBODY: Membership = { voters: [], votersOutgoing: [], learners: [], learnersNext: [] };

/** Peers, a network that is a list of packets, and disks that may be held. Nothing moves unless told to. */
export class Cluster {
  readonly peers = new Map<number, Peer>();
  readonly safety = new Safety();
  readonly #config: ClusterConfig;
  packets: Packet[] = [];
  /** Peers that can talk to each other; a peer in no set talks to everybody. */
  #islands: ReadonlySet<number>[] = [];
  readonly #prngOf: (id: number) => Prng;
  readonly #heldDisks = new Set<number>();

  constructor(size: number, config: ClusterConfig, prngOf: (id: number) => Prng) {
    this.#prngOf = prngOf;
    this.#config = config;
    const voters = Array.from({ length: size }, (_, i) => i + 1);
    for (const id of voters) this.addPeer(id, { ...NOBODY, voters });
  }

  addPeer(id: number, membership: Membership): Peer {
    const peer = new Peer(id, membership, { ...this.#config, prng: this.#prngOf(id) }, (packet) => {
      if (this.connected(packet.message.from, packet.message.to)) this.packets.push(packet);
      else this.lose(packet);
    });
    this.peers.set(id, peer);
    return peer;
  }

  peer(id: number): Peer {
    const peer = this.peers.get(id);
    assert(peer !== undefined, `peer ${id} exists`);
    return peer;
  }
  get live(): Peer[] {
    return [...this.peers.values()].filter((peer) => peer.alive);
  }

  connected(a: number, b: number): boolean {
    return this.#islands.every((island) => island.has(a) === island.has(b));
  }
  partition(islands: ReadonlySet<number>[]): void {
    this.#islands = islands;
    const packets = this.packets;
    this.packets = packets.filter(({ message }) => this.connected(message.from, message.to));
    for (const packet of packets) if (!this.packets.includes(packet)) this.lose(packet);
  }
  heal(): void {
    this.#islands = [];
  }

  /** A transport notices that a stream broke; appends that vanish are found by the core itself. */
  lose(packet: Packet): void {
    if (packet.message.type !== 'snapshot') return;
    this.peers.get(packet.message.from)?.group.reportSnapshot(packet.message.to, false);
  }

  holdDisk(id: number, held: boolean): void {
    if (held) this.#heldDisks.add(id);
    else this.#heldDisks.delete(id);
  }

  /** Lets a peer do all it can do without a message, its disk included unless it is held. */
  settle(peer: Peer): void {
    do {
      while (peer.alive && peer.group.hasReady()) peer.turn();
      this.safety.check(peer, [...this.peers.values()]);
    } while (!this.#heldDisks.has(peer.id) && peer.finishWrite());
  }

  deliver(packet: Packet): void {
    const peer = this.peers.get(packet.message.to);
    if (peer === undefined || !peer.alive || !this.connected(packet.message.from, packet.message.to)) {
      this.lose(packet);
      return;
    }
    peer.receive(packet);
    this.settle(peer);
    if (packet.message.type === 'snapshot') {
      const sender = this.peer(packet.message.from);
      sender.group.reportSnapshot(packet.message.to, true);
      this.settle(sender);
    }
  }

  /** Everything under way now; the answers stay under way. */
  deliverAll(): void {
    const packets = this.packets;
    this.packets = [];
    for (const packet of packets) this.deliver(packet);
  }

  /** Until nobody has anything to say. */
  stabilize(): void {
    for (let round = 0; round < 1000; round++) {
      for (const peer of this.peers.values()) this.settle(peer);
      if (this.packets.length === 0) {
        this.safety.checkLogs([...this.peers.values()]);
        return;
      }
      this.deliverAll();
    }
    assert(false, 'a group without ticks falls silent');
  }
}
