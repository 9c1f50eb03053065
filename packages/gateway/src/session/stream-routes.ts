import { MatchIndex } from '@sluice/mqtt/topic/match-index';
import type { StreamNews } from '@sluice/rpc/contract/sessions';
import type { StreamListener } from '@sluice/store-client/session/session-client';

/**
 * Which streams of which partitions keep a topic: what stored sessions anywhere subscribe to. Partitions say so, all of
 * theirs, page by page, when somebody begins to lead them and then what changes; what is known of a partition without a
 * leader goes on to hold, and so does what a new leader has not come to yet.
 *
 * @hotpath
 */
export class StreamRoutes implements StreamListener {
  readonly #routes = new MatchIndex<StreamRoute>();
  readonly #byPartition = new Map<number, KnownStreams>();

  get count(): number {
    return this.#routes.size;
  }

  /** Every partition has told of its streams, but for those that never will: until then a publish might miss some. */
  isComplete(partitionCount: number, neverTells: (partition: number) => boolean = NOBODY): boolean {
    for (let partition = 1; partition <= partitionCount; partition++) {
      if (this.#byPartition.get(partition)?.wasComplete !== true && !neverTells(partition)) return false;
    }
    return partitionCount > 0;
  }

  match(topic: string): readonly StreamRoute[] {
    // Nobody keeps a session: nothing to remember by topic.
    return this.#routes.size === 0 ? NONE : this.#routes.match(topic);
  }

  streams({ partition, part, isComplete, added, removed }: StreamNews): void {
    let known = this.#byPartition.get(partition);
    if (known === undefined) {
      known = new KnownStreams();
      this.#byPartition.set(partition, known);
    }
    if (part === 'first-page') known.image++;
    for (const streamId of removed) this.#remove(known, streamId);
    for (const { streamId, filter } of added) this.#add(known, partition, streamId, filter);
    if (!isComplete) return;
    // What a former leader told of and this one did not.
    if (part !== 'change') {
      for (const [streamId, { image }] of known.routes) if (image !== known.image) this.#remove(known, streamId);
    }
    known.wasComplete = true;
  }

  #add(known: KnownStreams, partition: number, streamId: number, filter: string): void {
    const former = known.routes.get(streamId);
    if (former !== undefined) {
      former.image = known.image;
      return;
    }
    const route = { partition, streamId, filter, image: known.image };
    known.routes.set(streamId, route);
    this.#routes.add(filter, route);
  }

  #remove(known: KnownStreams, streamId: number): void {
    const route = known.routes.get(streamId);
    if (route === undefined) return;
    known.routes.delete(streamId);
    this.#routes.remove(route.filter, route);
  }
}

export interface StreamRoute {
  readonly partition: number;
  readonly streamId: number;
  readonly filter: string;
}

const NONE: readonly StreamRoute[] = [];
const NOBODY = (): boolean => false;

/** Of one partition. */
class KnownStreams {
  readonly routes = new Map<number, StreamRoute & { image: number }>();
  /** Counts the images that began: a route has the number of the last that had it. */
  image = 0;
  wasComplete = false;
}
