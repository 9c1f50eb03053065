import type { Message } from '@sluice/raft/message';
import type { QuiesceNotice } from '@sluice/raft/quiesce';

/**
 * What one turn of a node has for one other node, over all groups they share: one frame, whatever the number of groups.
 * Frames may be lost with their channel; Raft expects that. The answer comes as frames in the other direction, on the
 * peer's own channels: each direction of a pair has its own.
 */
export interface RaftFrame {
  messages: readonly GroupMessage[];
  /** Leaders that went to sleep; see `raft/quiesce`. */
  quiesced: readonly { groupId: number; notice: QuiesceNotice }[];
}

export interface GroupMessage {
  groupId: number;
  message: Message;
}
