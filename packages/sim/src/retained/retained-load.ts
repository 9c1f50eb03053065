import type { RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import { RetainedService } from '@sluice/store/service/retained-service';
import { RetainedLookups } from '@sluice/store-client/retained/retained-lookups';
import { partitionOfTopic } from '@sluice/store-client/retained/topic-partition';
import { RetainedValues } from '../check/retained-values.ts';
import type { Fleet } from '../cluster/fleet.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import { Violation } from '../simulation.ts';
import { ReachCheck } from './reach-check.ts';
import type { RetainedKnobs } from './retained-knobs.ts';
import { RetainedPublisher } from './retained-publisher.ts';
import { RetainedReader } from './retained-reader.ts';

/** Publishers of what is retained, and who subscribes while they publish; what all of those must have got, and when. */
export class RetainedLoad {
  readonly values = new RetainedValues();
  readonly #parts: RetainedLoadParts;
  readonly #publishers: RetainedPublisher[];
  readonly #reach: ReachCheck;
  #readers: RetainedReader[] = [];
  #read = 0;
  #pages = 0;
  #published = 0;
  #isOver = false;

  static readonly LOOK_MS = 100;
  static readonly SETTLE_MS_MAX = 60_000;
  /** For all that was published, to whoever takes one message at a time. */
  static readonly TAKE_MS_MAX = 600_000;

  constructor(parts: RetainedLoadParts) {
    this.#parts = parts;
    const { fleet, draw, knobs } = parts;
    const { world, gateways } = fleet;
    this.#reach = new ReachCheck(fleet);
    const each = Math.max(1, Math.floor(knobs.topics / knobs.publishers));
    this.#publishers = Array.from({ length: knobs.publishers }, (_, i) => {
      const topics = Array.from({ length: each }, (_, n) => `$kept/${i}/${n}`);
      return new RetainedPublisher(`keeper${i}`, topics, {
        world,
        draw,
        knobs,
        gateways,
        values: this.values,
        mayReplace: (topic) => !knobs.isPatient || !this.#readers.some((reader) => reader.awaits(topic)),
        nextId: () => ++this.#published,
      });
    });
  }

  begin(): void {
    for (const publisher of this.#publishers) this.#publishNext(publisher);
    this.#readNext();
    this.#look();
  }

  #publishNext(publisher: RetainedPublisher): void {
    const { fleet, draw, knobs } = this.#parts;
    fleet.world.after(knobs.publishEveryMs * (0.5 + draw.between(0, 100) / 100), fleet.world.outside, () => {
      if (this.#isOver) return;
      this.#publishNext(publisher);
      publisher.publish();
    });
  }

  #readNext(): void {
    const { fleet, draw, knobs } = this.#parts;
    const { world } = fleet;
    world.after(knobs.readEveryMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.#readNext();
      this.#readers = this.#readers.filter(({ hasEnded }) => !hasEnded);
      for (const reader of this.#readers) reader.act();
      if (this.#readers.length >= knobs.readers + fleet.gateways.length) return;
      const gateway = draw.oneOf(fleet.gateways);
      if (gateway.state !== 'up' || gateway.mqtt === undefined) return;
      // One at a gateway stays: what others subscribe to is known there.
      const isForGood = !this.#readers.some((reader) => reader.gateway === gateway);
      this.#comes(gateway, isForGood ? ['$kept/#'] : this.#someFilters(), isForGood);
    });
  }

  #comes(gateway: GatewayNode, filters: readonly string[], isForGood: boolean): RetainedReader {
    const { fleet, draw, knobs, isStrict, mayMiss } = this.#parts;
    const { world, network } = fleet;
    const expiryS = !isForGood && draw.onceIn(4) ? 8 : 0;
    const reader = new RetainedReader(`reader${++this.#read}`, gateway, {
      world,
      draw,
      knobs,
      values: this.values,
      filters,
      expiryS,
      isStrict: expiryS > 0 ? !mayMiss() : isStrict,
      isForGood,
      wayMsMax: () => network.knobs.latencyMsMax,
    });
    this.#readers.push(reader);
    return reader;
  }

  #someFilters(): string[] {
    const { draw, knobs } = this.#parts;
    const topics = [...this.values.names()];
    const one = (): string => {
      const publisher = draw.between(0, knobs.publishers - 1);
      const choices = ['$kept/#', '$kept/#', '$kept/+/1', `$kept/${publisher}/+`, `$kept/${publisher}/#`];
      return topics.length === 0 ? '$kept/#' : draw.oneOf([...choices, draw.oneOf(topics), draw.oneOf(topics)]);
    };
    const count = knobs.topics > 100 ? draw.between(1, 2) : draw.oneOf([1, 1, 1, 2, 10]);
    return [...new Set(Array.from({ length: count }, one))];
  }

  /** Readers that get nothing although they could. */
  #look(): void {
    const { world } = this.#parts.fleet;
    world.after(RetainedLoad.LOOK_MS, world.outside, () => {
      if (this.#isOver) return;
      this.#look();
      this.#reach.sample();
      for (const reader of this.#readers) this.#mustNotWait(reader);
    });
  }

  #mustNotWait(reader: RetainedReader): void {
    const { fleet } = this.#parts;
    const { nowMs } = fleet.world;
    // Of several filters those that come later get nothing until a slow reader has taken what the earlier ones have.
    if (reader.reads.length !== 1) return;
    const waitMs = this.#reach.waitMsMax(reader.gateway, nowMs);
    for (const read of reader.reads) {
      if (read.mayBind || nowMs - read.heardMs < waitMs) continue;
      if (this.values.isHeldUpAt(read.process, read.subscribedMs, nowMs)) continue;
      for (const { topic, isRead } of read.missing(nowMs)) {
        const partition = partitionOfTopic(Buffer.from(topic), fleet.knobs.partitions);
        if (!isRead || !this.#reach.isReached(reader.gateway, partition, nowMs - waitMs)) continue;
        const said = `${reader.describe()}; ${partition} could be asked for ${topic}`;
        fleet.world.fail(new Violation('left waiting', said));
        return;
      }
    }
  }

  /** A store has answered a gateway. */
  answered({ asks }: RetainedRequest, { pages }: RetainedResponse): void {
    this.#pages += pages.filter(({ left }) => left.length > 0).length;
    let answerBytes = 0;
    let largest = 0;
    for (const { records } of pages) {
      const bytes = records.reduce((sum, { length }) => sum + length, 0);
      answerBytes += bytes;
      const last = records.reduce((most, { length }) => Math.max(most, length), 0);
      largest = Math.max(largest, last);
      if (bytes - last >= RetainedService.PAGE_BYTES_MAX || records.length > RetainedService.PAGE_RECORDS_MAX) {
        throw new Violation('pages', `one of ${records.length} messages and ${bytes} bytes`);
      }
    }
    if (answerBytes - largest >= RetainedService.ANSWER_BYTES_MAX || asks.length > RetainedLookups.ASKS_MAX) {
      throw new Violation('pages', `${answerBytes} bytes for ${asks.length} questions`);
    }
  }

  get summary(): string {
    const { acknowledgements } = this.values;
    return `${acknowledgements} retained of ${this.#published}, ${this.#read} readers, ${this.#pages} pages with more behind`;
  }

  /** Everything has healed: who still misses something will for ever, and who comes gets everything. */
  async comesToRest(): Promise<void> {
    this.#isOver = true;
    const { fleet } = this.#parts;
    await this.#within(() => this.#publishers.every(({ isAnswered }) => isAnswered));
    for (const publisher of this.#publishers) publisher.leave();
    const late = (): RetainedReader[] => this.#readers.filter((reader) => !reader.hasEnded && !reader.isComplete);
    await this.#untilNothingComes(late);
    this.#haveAll(late());
    for (const reader of this.#readers) reader.leave();
    this.#readers = [];
    const last = fleet.gateways.map((gateway) => this.#comes(gateway, ['$kept/#'], true));
    await this.#within(() => last.every((reader) => reader.hasEnded || reader.isComplete));
    this.#haveAll(last.filter((reader) => reader.hasEnded || !reader.isComplete));
    for (const reader of last) reader.leave();
  }

  #haveAll(late: readonly RetainedReader[]): void {
    if (late.length === 0) return;
    throw new Violation('retained', late.map((reader) => reader.describe()).join('; '));
  }

  /** To nobody of them: a kept session that takes one at a time, over slow wires, has minutes of what was published to take. */
  #untilNothingComes(late: () => readonly RetainedReader[]): Promise<boolean> {
    const { world } = this.#parts.fleet;
    const sinceMs = world.nowMs;
    return world.runUntil(sinceMs + RetainedLoad.TAKE_MS_MAX, RetainedLoad.LOOK_MS, () =>
      late().every(({ heardMs }) => world.nowMs - Math.max(sinceMs, heardMs) >= RetainedLoad.SETTLE_MS_MAX),
    );
  }

  #within(isSo: () => boolean): Promise<boolean> {
    const { world } = this.#parts.fleet;
    return world.runUntil(world.nowMs + RetainedLoad.SETTLE_MS_MAX, RetainedLoad.LOOK_MS, isSo);
  }
}

export interface RetainedLoadParts {
  fleet: Fleet;
  draw: Draw;
  knobs: RetainedKnobs;
  /** Nothing live is lost. */
  isStrict: boolean;
  /** A gateway may not have heard of a stream. */
  mayMiss: () => boolean;
}
