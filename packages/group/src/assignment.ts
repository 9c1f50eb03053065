/** A member of a queue's consumer group, as the assignment sees it: a gateway with all its consumers of that queue. */
export interface GroupMember {
  nodeId: number;
  consumers: number;
  /** Sum of their windows. */
  windowTotal: number;
}

/** Which partitions each member draws from. */
export interface Assignment {
  nodeId: number;
  partitions: readonly number[];
}
