import { describe, expect, it } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import type { NodeRegistration } from '@sluice/meta/node-info';
import type { ClusterRequest, ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { Member, NodeIdentity } from '../../src/identity/node-identity.ts';
import { answerHello, obtainMembership } from '../../src/identity/obtain-membership.ts';

const LIST = ['a:1', 'b:1', 'c:1'];

/** Nodes that answer each other by address, as far as they are up; those that lead also give out places. */
class Town {
  readonly nodes = new Map<string, TownNode>();
  nextNodeId = 4;
  /** What nodes said that they wait for. */
  readonly waits: string[] = [];
  waited: () => void = () => {};

  add(address: string, incarnation = `disk of ${address}`): TownNode {
    const node = new TownNode(this, address, incarnation);
    this.nodes.set(address, node);
    return node;
  }

  async ask(address: string, request: ClusterRequest): Promise<ClusterResponse> {
    const node = this.nodes.get(address);
    if (node === undefined) throw new SluiceError('PEER_UNAVAILABLE', `question to ${address}: connection refused`);
    return node.answer(request);
  }
}

class TownNode {
  readonly identity: NodeIdentity;
  leads = false;
  refusal: ClusterResponse | undefined;
  join: readonly string[] = LIST;
  readonly #town: Town;
  readonly #address: string;

  constructor(town: Town, address: string, incarnation: string) {
    this.#town = town;
    this.#address = address;
    this.identity = { incarnation, member: undefined };
  }

  answer(request: ClusterRequest): ClusterResponse {
    if (request.type === 'hello') return answerHello(this.identity, this.#address, this.join);
    if (this.refusal !== undefined) return this.refusal;
    const { member } = this.identity;
    if (member === undefined || !this.leads) {
      const leader = [...this.#town.nodes].find(([, node]) => node.leads)?.[0] ?? '';
      return { type: 'elsewhere', address: leader };
    }
    const nodeId = this.#town.nextNodeId++;
    return { type: 'registered', clusterId: member.clusterId, nodeId, coordinators: member.coordinators };
  }

  async obtain(join: readonly string[]): Promise<Member> {
    this.join = join;
    const member = await obtainMembership({
      identity: this.identity,
      registration: {
        address: this.#address,
        incarnation: this.identity.incarnation,
        roles: ['coordinator'],
      } as unknown as NodeRegistration,
      join,
      ask: (address, request) => this.#town.ask(address, request),
      waitsFor: (reason) => {
        this.#town.waits.push(reason);
        this.#town.waited();
      },
      stopping: () => false,
    });
    this.identity.member = member;
    return member;
  }
}

describe('how a node gets its place', () => {
  it('alone it founds a cluster of itself', async () => {
    const member = await new Town().add('a:1').obtain([]);
    expect(member).toMatchObject({ nodeId: 1, foundedWith: [{ nodeId: 1, address: 'a:1' }] });
  });

  it('three founders agree, in whatever order they come', async () => {
    const town = new Town();
    const first = town.add('b:1').obtain(LIST);
    const second = town.add('c:1').obtain([...LIST].reverse());
    const third = town.add('a:1').obtain(LIST);
    const members = await Promise.all([first, second, third]);
    expect(members.map(({ nodeId }) => nodeId)).toEqual([2, 3, 1]);
    expect(new Set(members.map(({ clusterId }) => clusterId)).size).toBe(1);
  });

  it('a founder that comes back without its disk gets a new id from whoever leads', async () => {
    const town = new Town();
    const founders = LIST.map((address) => town.add(address));
    await Promise.all(founders.map((node) => node.obtain(LIST)));
    (founders[1] as TownNode).leads = true;
    const member = await town.add('a:1', 'a new disk').obtain(LIST);
    expect(member).toMatchObject({ nodeId: 4, foundedWith: [] });
    expect(member.clusterId).toBe(founders[1]?.identity.member?.clusterId);
  });

  it('who is not in the list joins, following who knows the leader', async () => {
    const town = new Town();
    const founders = LIST.map((address) => town.add(address));
    await Promise.all(founders.map((node) => node.obtain(LIST)));
    (founders[2] as TownNode).leads = true;
    expect((await town.add('s:1').obtain(['a:1', 'b:1'])).nodeId).toBe(4);
  });

  it('says whom it waits for, and why, until they are there', async () => {
    const town = new Town();
    town.waited = () => {
      town.waited = () => {};
      town.add('b:1').obtain(['a:1', 'b:1']);
    };
    await town.add('a:1').obtain(['a:1', 'b:1']);
    expect(town.waits[0]).toBe('waiting for b:1 of the join list: connection refused');
    town.add('c:1');
    town.waited = () => {
      (town.nodes.get('b:1') as TownNode).leads = true;
    };
    await town.add('s:1').obtain(['c:1', 'b:1', 'z:1']);
    expect(town.waits.at(-1)).toBe(
      'waiting for a coordinator that leads, to join the cluster (node.join does not name s:1, so this node founds none): c:1: it knows of none that leads; b:1: it knows of none that leads; z:1: connection refused',
    );
  });

  it('different lists, and a refusal, end it with words', async () => {
    const town = new Town();
    town.add('b:1').join = ['b:1', 'z:1'];
    await expect(town.add('a:1').obtain(['a:1', 'b:1'])).rejects.toThrow('the founders of this cluster disagree');
    const other = new Town();
    other.add('a:1').refusal = { type: 'refused', code: 'NODE_REFUSED', message: 'too old', hint: 'upgrade it' };
    await expect(other.add('s:1').obtain(['a:1'])).rejects.toThrow('the cluster refused this node: too old');
  });
});
