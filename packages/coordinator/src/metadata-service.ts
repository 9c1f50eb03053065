import { FIRST_LEVEL, levelUnsupported, UNTOLD_LEVELS } from '@sluice/meta/feature-levels';
import type { MetaCommand, QueueDraft } from '@sluice/meta/meta-commands';
import type { NodeRegistration } from '@sluice/meta/node-info';
import {
  DEFAULT_KEY_EXPRESSION,
  QUEUE_SETTING_DEFAULTS,
  type QueueSubsystemConfig,
} from '@sluice/meta/queue-subsystem-config';
import type { ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { MetadataRequest, MetadataResponse } from '@sluice/rpc/contract/metadata';
import type { Coordinator } from './coordinator.ts';

/** What other nodes ask of the metadata. Who does not lead names who does, and has done nothing. */
export class MetadataService {
  readonly #coordinator: Coordinator;

  constructor(options: { coordinator: Coordinator }) {
    this.#coordinator = options.coordinator;
  }

  async answer(request: MetadataRequest): Promise<MetadataResponse> {
    switch (request.type) {
      case 'execute': {
        this.#refuseTooOld(request.command);
        const outcome = await this.#coordinator.execute(request.command);
        if (outcome === 'not-leader') return this.#notLeader();
        if (outcome === 'unknown') return { type: 'unknown' };
        const reached = outcome.result !== 'done' || (await this.#coordinator.reached(outcome.epoch));
        return { type: 'executed', reply: outcome, reached };
      }
      case 'reach':
        if (!this.#coordinator.leads) return this.#notLeader();
        return { type: 'reached', reached: await this.#coordinator.reached(request.epoch) };
      case 'members': {
        const members = await this.#coordinator.confirmedMembers();
        return members === undefined ? this.#notLeader() : { type: 'members', members };
      }
      case 'wanted':
        if (!this.#coordinator.leads) return this.#notLeader();
        return await this.#create(request.name, request.topicFilter);
    }
  }

  /** A node that starts, or starts again. It is answered with its id once that is committed. */
  async register(node: NodeRegistration): Promise<ClusterResponse> {
    const coordinator = this.#coordinator;
    const reply = await coordinator.execute({ kind: 'register-node', node, nodeId: 0 });
    if (reply === 'not-leader' || reply === 'unknown') return { type: 'elsewhere', address: coordinator.leaderAddress };
    const { result, nodeId } = reply;
    if ((result === 'done' || result === 'unchanged') && nodeId !== undefined) {
      const { clusterId } = coordinator.machine;
      return { type: 'registered', clusterId, nodeId, coordinators: coordinator.coordinators() };
    }
    switch (result) {
      case 'not-formed':
        return { type: 'elsewhere', address: '' };
      case 'node-gone':
        return refused(
          'NODE_GONE',
          `this data directory was node ${nodeId}, which has left the cluster or was replaced`,
          'start the node with an empty data directory: it joins as a new node',
        );
      case 'name-taken':
        return refused(
          'NODE_NAME_TAKEN',
          `the name ${node.name} belongs to node ${nodeId}`,
          'give every node a name of its own (node.name)',
        );
      case 'level-unsupported': {
        const { level } = coordinator.machine.featureLevel;
        const { code, message, hint } = levelUnsupported(level, node.levels ?? UNTOLD_LEVELS);
        return refused(code, message, hint);
      }
      default:
        return refused('NODE_REFUSED', `the cluster does not take this node: ${result}`, '');
    }
  }

  /**
   * Somebody subscribed to a queue that does not exist. Makes it when `auto_create` says of which kind; two subscribers
   * at once make one queue, because the metadata refuses the second.
   */
  async #create(name: string, topicFilter: string): Promise<MetadataResponse> {
    const queue = wantedQueue(this.#coordinator.machine.config, name, topicFilter);
    if (queue === undefined) return { type: 'wanted', created: false };
    const reply = await this.#coordinator.execute({ kind: 'define-queue', queue });
    // It lost its lead meanwhile: whoever wants it asks the next one.
    if (reply === 'not-leader') return this.#notLeader();
    if (reply === 'unknown') return { type: 'unknown' };
    if (reply.result !== 'done') return { type: 'wanted', created: false };
    await this.#coordinator.reached(reply.epoch);
    return { type: 'wanted', created: true };
  }

  /**
   * A node from before there were levels that starts again takes every refusal for the loss of its place, and tells its
   * operator to empty its data directory. It gets no answer, and waits until it is upgraded.
   */
  #refuseTooOld(command: MetaCommand): void {
    if (command.kind !== 'register-node' || command.node.levels !== undefined) return;
    const { level } = this.#coordinator.machine.featureLevel;
    if (level > FIRST_LEVEL.level) throw levelUnsupported(level, UNTOLD_LEVELS);
  }

  #notLeader(): MetadataResponse {
    return { type: 'not-leader', leader: this.#coordinator.leader };
  }
}

function wantedQueue(config: QueueSubsystemConfig, name: string, topicFilter: string): QueueDraft | undefined {
  const { regular, lastValue } = config.autoCreate;
  const template = regular === false ? lastValue : regular;
  if (template === false || config.enable === false) return undefined;
  const isLastValue = regular === false;
  return {
    ...QUEUE_SETTING_DEFAULTS,
    ...template,
    keyExpression: isLastValue ? (template.keyExpression ?? DEFAULT_KEY_EXPRESSION) : null,
    name,
    topicFilter,
    isLastValue,
    partitionCount: 1,
  };
}

function refused(code: string, message: string, hint: string): ClusterResponse {
  return { type: 'refused', code, message, hint };
}
