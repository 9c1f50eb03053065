import { setTimeout as delay } from 'node:timers/promises';
import { SluiceError } from '@sluice/common/errors';
import type { NodeRegistration } from '@sluice/meta/node-info';
import type { ClusterRequest, ClusterResponse, Founder } from '@sluice/rpc/contract/cluster';
import { type FoundingVerdict, foundersOf, foundingVerdict } from './founding.ts';
import type { Member, NodeIdentity } from './node-identity.ts';

/** Asks a node by its address; rejects when nobody answers. */
export type AskAddress = (address: string, request: ClusterRequest) => Promise<ClusterResponse>;

/** How often somebody is asked again while a cluster is not complete. */
const ASK_AGAIN_MS = 250;

/**
 * Gets a node that has no identity its place in a cluster: as a founder, or by registering with the coordinators. Waits
 * as long as it takes: what it waits for is another process that an operator is about to start, or to repair.
 */
export async function obtainMembership(options: {
  identity: NodeIdentity;
  registration: NodeRegistration;
  /** The addresses in `node.join`; empty founds a cluster of this node alone. */
  join: readonly string[];
  ask: AskAddress;
  /** Told again and again what it waits for, in words. */
  waitsFor: (reason: string) => void;
  stopping: () => boolean;
}): Promise<Member> {
  const { identity, registration, join, waitsFor } = options;
  const own = { address: registration.address, incarnation: identity.incarnation };
  if (join.length === 0) return founded(foundersOf(new Map([[own.address, own.incarnation]])), own.address);
  const isFounder = join.includes(own.address);
  let known: readonly string[] = join;
  while (!options.stopping()) {
    if (isFounder) {
      const { verdict, failures } = await askFounders(options.ask, own, join);
      if (verdict.type === 'found') return founded(verdict, own.address);
      if (verdict.type === 'contradiction') {
        throw new SluiceError('FOUNDERS_DISAGREE', `the founders of this cluster disagree: ${verdict.message}`, {
          hint: 'give every node the same list in node.join, with the addresses they advertise',
        });
      }
      if (verdict.type === 'wait') {
        const missing = verdict.missing.map((address) => `${address} of the join list: ${failures.get(address)}`);
        waitsFor(`waiting for ${missing.join('; ')}`);
        await delay(ASK_AGAIN_MS);
        continue;
      }
      known = [...new Set([...verdict.coordinators.map(({ address }) => address), ...join])];
    }
    const outcome = await register(options, known);
    if (outcome.member !== undefined) return outcome.member;
    const asked = [...outcome.failures].map(([address, failure]) => `${address}: ${failure}`);
    const whose =
      isFounder || !registration.roles.includes('coordinator')
        ? ''
        : ` (node.join does not name ${own.address}, so this node founds none)`;
    waitsFor(`waiting for a coordinator that leads, to join the cluster${whose}: ${asked.join('; ')}`);
    await delay(ASK_AGAIN_MS);
  }
  throw new SluiceError('STOPPED', 'stopped before the node had a place in the cluster');
}

async function askFounders(
  ask: AskAddress,
  own: { address: string; incarnation: string },
  founders: readonly string[],
): Promise<{ verdict: FoundingVerdict; failures: ReadonlyMap<string, string> }> {
  const answers = new Map<string, ClusterResponse>();
  const failures = new Map<string, string>();
  await Promise.all(
    founders.map(async (address) => {
      if (address === own.address) return;
      const answer = await answerOf(ask, address, { type: 'hello', ...own, founders });
      // Not there yet; the verdict names who is missing.
      if (typeof answer === 'string') failures.set(address, answer);
      else answers.set(address, answer);
    }),
  );
  return { verdict: foundingVerdict(own, founders, answers), failures };
}

/** Why there is no answer, in words, when there is none. */
async function answerOf(ask: AskAddress, address: string, request: ClusterRequest): Promise<ClusterResponse | string> {
  try {
    return await ask(address, request);
  } catch (cause) {
    if (!(cause instanceof SluiceError)) throw cause;
    const { message } = cause;
    // Who is asked is said already.
    const at = message.indexOf(`${address}: `);
    return at < 0 ? message : message.slice(at + address.length + 2);
  }
}

async function register(
  { ask, registration }: { ask: AskAddress; registration: NodeRegistration },
  addresses: readonly string[],
): Promise<{ member?: Member; failures: ReadonlyMap<string, string> }> {
  const failures = new Map<string, string>();
  const queue = [...addresses];
  for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
    if (failures.has(address)) continue;
    const answer = await answerOf(ask, address, { type: 'register', node: registration });
    if (typeof answer === 'string') {
      failures.set(address, answer);
      continue;
    }
    if (answer.type === 'registered') {
      const { nodeId, clusterId, coordinators } = answer;
      return { member: { nodeId, clusterId, coordinators, foundedWith: [], copies: 1 }, failures };
    }
    if (answer.type === 'refused') {
      throw new SluiceError(answer.code, `the cluster refused this node: ${answer.message}`, { hint: answer.hint });
    }
    const knowsLeader = answer.type === 'elsewhere' && answer.address !== '';
    if (knowsLeader) queue.unshift(answer.address);
    failures.set(address, knowsLeader ? `${answer.address} leads` : 'it knows of none that leads');
  }
  return { failures };
}

function founded(
  { founders, clusterId }: { founders: readonly Founder[]; clusterId: string },
  ownAddress: string,
): Member {
  const own = founders.find(({ address }) => address === ownAddress);
  if (own === undefined) throw new SluiceError('FOUNDERS_DISAGREE', `${ownAddress} is not among the founders`);
  const coordinators = founders.map(({ nodeId, address }) => ({ nodeId, address }));
  return { nodeId: own.nodeId, clusterId, foundedWith: founders, coordinators, copies: 1 };
}

/** Of a data directory from before nodes had identities. */
export function loneFounder({ address, incarnation }: NodeRegistration): Member {
  const { founders, clusterId } = foundersOf(new Map([[address, incarnation]]));
  return { nodeId: 1, clusterId, foundedWith: founders, copies: 1, coordinators: [{ nodeId: 1, address }] };
}

/** What this node answers to `hello`, whatever it knows of itself at that moment. */
export function answerHello(identity: NodeIdentity, address: string, founders: readonly string[]): ClusterResponse {
  const { member, incarnation } = identity;
  if (member === undefined) return { type: 'blank', address, incarnation, founders };
  const { clusterId, nodeId, foundedWith, coordinators } = member;
  return { type: 'member', clusterId, nodeId, foundedWith, coordinators };
}
