/**
 * The retained messages that match topic filters, a page a question. Whoever asks says where it stands in each partition,
 * and a store keeps nothing of it: who is slow asks late, who is gone asks no more, and another leader goes on where the
 * former one stood. What was acknowledged to a publisher before the question is seen by it.
 */
export interface RetainedRequest {
  asks: readonly RetainedAsk[];
}

export interface RetainedAsk {
  /** Of topics; no `$share`, no `$q`. */
  filter: string;
  /** Partitions to be read, in this order, that the asked store is believed to lead. */
  places: readonly RetainedPlace[];
}

export interface RetainedPlace {
  partition: number;
  /** As a store has given it; empty at the beginning. */
  at: Uint8Array;
}

/** A page an ask, in their order. */
export interface RetainedResponse {
  pages: readonly RetainedPage[];
}

export interface RetainedPage {
  /** In the form of queue records. */
  records: readonly Uint8Array[];
  /** What is to be asked again; empty when this was all. A page may be empty although something is left. */
  left: readonly RetainedPlace[];
  /** Partitions among those left that are not led here; 0: nobody is known to. */
  elsewhere: readonly { partition: number; leader: number }[];
}
