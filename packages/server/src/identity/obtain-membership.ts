import { setTimeout as delay } from 'node:timers/promises';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { NodeRegistration } from '@sluice/meta/node-info';
import type { ClusterRequest, ClusterResponse, Founder } from '@sluice/rpc/contract/cluster';
import { type FoundingVerdict, foundersOf, foundingVerdict } from './founding.ts';
import type { Member, NodeIdentity } from './node-identity.ts';

/** Asks a node by its address; rejects when nobody answers. */
export type AskAddress = (address: string, request: ClusterRequest) => Promise<ClusterResponse>;

/** How often somebody is asked again while a cluster is not complete, and how often that is said. */
const ASK_AGAIN_MS = 250;
const SAY_EVERY_MS = 10_000;

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
  logger: Logger;
  stopping: () => boolean;
}): Promise<Member> {
  const { identity, registration, join, logger } = options;
  const own = { address: registration.address, incarnation: identity.incarnation };
  if (join.length === 0) return founded(foundersOf(new Map([[own.address, own.incarnation]])), own.address);
  const isFounder = join.includes(own.address);
  let known: readonly string[] = join;
  let saidMs = 0;
  const say = (what: string, fields: Parameters<Logger['info']>[0]): void => {
    if (Date.now() - saidMs < SAY_EVERY_MS) return;
    saidMs = Date.now();
    logger.info(fields, what);
  };
  while (!options.stopping()) {
    if (isFounder) {
      const verdict = await askFounders(options.ask, own, join);
      if (verdict.type === 'found') return founded(verdict, own.address);
      if (verdict.type === 'contradiction') {
        throw new SluiceError('FOUNDERS_DISAGREE', `the founders of this cluster disagree: ${verdict.message}`, {
          hint: 'give every node the same list in node.join, with the addresses they advertise',
        });
      }
      if (verdict.type === 'wait') say('waiting for the other founders of the cluster', { missing: verdict.missing });
      else known = [...new Set([...verdict.coordinators.map(({ address }) => address), ...join])];
      if (verdict.type === 'wait') {
        await delay(ASK_AGAIN_MS);
        continue;
      }
    }
    const member = await register(options, known);
    if (member !== undefined) return member;
    say('waiting for a coordinator that leads, to join the cluster', { asked: known });
    await delay(ASK_AGAIN_MS);
  }
  throw new SluiceError('STOPPED', 'stopped before the node had a place in the cluster');
}

async function askFounders(
  ask: AskAddress,
  own: { address: string; incarnation: string },
  founders: readonly string[],
): Promise<FoundingVerdict> {
  const answers = new Map<string, ClusterResponse>();
  await Promise.all(
    founders.map(async (address) => {
      if (address === own.address) return;
      try {
        answers.set(address, await ask(address, { type: 'hello', ...own, founders }));
      } catch (cause) {
        if (!(cause instanceof SluiceError)) throw cause;
        // Not there yet; the verdict names who is missing.
      }
    }),
  );
  return foundingVerdict(own, founders, answers);
}

async function register(
  { ask, registration, logger }: { ask: AskAddress; registration: NodeRegistration; logger: Logger },
  addresses: readonly string[],
): Promise<Member | undefined> {
  const asked = new Set<string>();
  const queue = [...addresses];
  for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
    if (asked.has(address)) continue;
    asked.add(address);
    let answer: ClusterResponse;
    try {
      answer = await ask(address, { type: 'register', node: registration });
    } catch (cause) {
      if (!(cause instanceof SluiceError)) throw cause;
      continue;
    }
    if (answer.type === 'registered') {
      const { nodeId, clusterId, coordinators } = answer;
      return { nodeId, clusterId, coordinators, foundedWith: [], copies: 1 };
    }
    if (answer.type === 'elsewhere' && answer.address !== '') queue.unshift(answer.address);
    if (answer.type === 'refused') {
      throw new SluiceError(answer.code, `the cluster refused this node: ${answer.message}`, { hint: answer.hint });
    }
    if (answer.type === 'blank') logger.debug({ address }, 'that node has no cluster yet');
  }
  return undefined;
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

/** What this node answers to `hello`, whatever it knows of itself at that moment. */
export function answerHello(identity: NodeIdentity, address: string, founders: readonly string[]): ClusterResponse {
  const { member, incarnation } = identity;
  if (member === undefined) return { type: 'blank', address, incarnation, founders };
  const { clusterId, nodeId, foundedWith, coordinators } = member;
  return { type: 'member', clusterId, nodeId, foundedWith, coordinators };
}
