/**
 * What an apply asks of its host. Every replica computes them; only the leader acts on those marked so. Losing one
 * changes no replicated state: the note says what makes up for it.
 */
export type Effect =
  /** Leader: wake the dispatcher. Lost: the next append or attach wakes it. */
  | { type: 'appended'; queueId: number; tail: number }
  /** Leader: withdraw it if it waits and was not handed out. Lost: an old value is delivered once more than needed. */
  | { type: 'superseded'; queueId: number; offset: number }
  /** Leader: what dispatch knows of rows beyond its cursor is old. Lost: a dropped record may be handed out once more. */
  | { type: 'dropped'; queueId: number }
  /** All: `records` of the entry are live; its bytes count as live in the entry log. Lost: rebuilt by the census of live entries. */
  | { type: 'entry-live'; index: number; bytes: number }
  /** All: nothing of the entry is live any more, or ever was. Lost: as above. */
  | { type: 'entry-dead'; index: number; bytes: number }
  /** Leader: propose drops of the oldest until the queue is within its limits (`drop_oldest`). Lost: next append says it again. */
  | { type: 'over-limit'; queueId: number }
  /** All: the queue's rows are gone or being dropped; consumers must be told. Lost: the topology says so too. */
  | { type: 'queue-removed'; queueId: number };
