import { decodeConfigure, decodeRemoveQueue } from '../command/command-codec.ts';
import type { Effect } from '../effects.ts';
import type { MachineState } from '../machine-state.ts';
import { QueueState } from '../queue-state.ts';
import type { ApplyReply } from './apply-reply.ts';

/**
 * The topology tells the leader what queues there are, the leader tells the log, so that every replica judges an append
 * by the same limits. News may come late or twice: the version decides. A queue keeps its kind, and a removed one stays
 * removed; ids are never used again.
 */
export function applyConfigure(state: MachineState, data: Uint8Array, effects: Effect[]): ApplyReply {
  const config = decodeConfigure(data);
  const known = state.queues.get(config.queueId);
  if (known === undefined) {
    const queue = new QueueState(config);
    state.queues.set(config.queueId, queue);
    state.markDirty(queue);
    return { type: 'configured', changed: true };
  }
  if (known.isRemoved || config.version <= known.version || config.isLastValue !== known.isLastValue) {
    return { type: 'configured', changed: false };
  }
  known.version = config.version;
  known.name = config.name;
  known.countMax = config.countMax;
  known.bytesMax = config.bytesMax;
  known.overflow = config.overflow;
  state.markDirty(known);
  if (known.overflow === 'drop_oldest' && known.isOverLimit)
    effects.push({ type: 'over-limit', queueId: known.queueId });
  return { type: 'configured', changed: true };
}

/** From here on appends are refused; the rows are dropped in steps, and the queue's own row goes with the last. */
export function applyRemove(state: MachineState, data: Uint8Array, effects: Effect[]): ApplyReply {
  const { queueId, epoch } = decodeRemoveQueue(data);
  if (epoch !== undefined) state.noteRemoval(epoch);
  return removeQueue(state, queueId, effects);
}

export function removeQueue(state: MachineState, queueId: number, effects: Effect[]): ApplyReply {
  const queue = state.queues.get(queueId);
  if (queue === undefined || queue.isRemoved) return { type: 'removed', changed: false };
  queue.isRemoved = true;
  state.markDirty(queue);
  effects.push({ type: 'queue-removed', queueId });
  if (queue.depth === 0) state.forget(queue);
  return { type: 'removed', changed: true };
}
