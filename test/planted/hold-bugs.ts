import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

/** Who holds what over changes of leaders: mistakes that do a job twice, lose its end, or leave it with nobody. */
const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/${file}.ts`,
  find,
  put,
});

export const HOLD_BUGS: readonly PlantedBugs[] = [
  {
    tests:
      'packages/store/test/(partition/held-jobs|service/consume-service|service/delivery-bound|partition/resumption|settle/settle-backlog)',
    bugs: [
      bug(
        'store/src/dispatch/queue-dispatch',
        'a new leader hands out what may be held elsewhere',
        '      if (this.#mayBeHeld(row.entryIndex)) return true;\n',
        '',
      ),
      bug(
        'store/src/dispatch/queue-dispatch',
        'the cursor does not pass over what is held since a former leader',
        '      this.#passed.add(offset);\n    } else if (holderId !== 0) {',
        '    } else if (holderId !== 0) {',
      ),
      bug(
        'store/src/dispatch/queue-dispatch',
        'what was accepted late is handed out before that is committed',
        '    if (!isKnown && offset >= this.#cursor.offset) this.#passed.add(offset);\n    this.#settles',
        '    this.#settles',
      ),
      bug(
        'store/src/dispatch/queue-dispatch',
        'what was accepted late goes to the next when its holder leaves',
        '    this.supersede(offset);\n    if (!isKnown',
        '    if (!isKnown',
      ),
      bug(
        'store/src/dispatch/queue-dispatch',
        'a claim takes a record from another gateway',
        'if (holder === undefined || !consumer.succeeds(holder)) return false;',
        'if (holder === undefined) return false;',
      ),
      bug(
        'store/src/dispatch/queue-dispatch',
        'who claims what others hold gets as much on top of it',
        'if (lost.length > 0) this.#dispatcher.setWindow(',
        'if (lost.length < 0) this.#dispatcher.setWindow(',
      ),
      bug(
        'store/src/service/consume-service',
        'a channel that its gateway has given up claims what the newer one has',
        'isNewest ? request.held : NOTHING',
        'request.held',
      ),
      bug(
        'store/src/service/consume-service',
        'a newer channel does not take over from the older one of its gateway',
        'return other.#gateway.from === this.#gateway.from && other',
        'return other.#gateway.from !== this.#gateway.from && other',
      ),
      bug(
        'store/src/service/consume-service',
        'a gateway that is gone is waited for',
        '    for (const partition of this.#partitions.values()) partition.resumption?.answered(gateway.from);\n',
        '',
      ),
      bug(
        'store/src/service/consume-service',
        'a young store waits for no gateway that it never met',
        'if (!this.#newest.has(nodeId)) asked.add(nodeId);',
        'if (this.#newest.has(nodeId)) asked.add(nodeId);',
      ),
      bug('store/src/service/consume-service', 'every gateway there ever was is kept', '    this.#forgetGone();\n', ''),
      bug(
        'store/src/service/consume-service',
        'what fences the older channel of a gateway goes with the newer one',
        '    for (const { from } of this.#channels) known.add(from);\n',
        '',
      ),
      bug(
        'store/src/service/delivery-bound',
        'a gateway that took what was on its way to it is given nothing more',
        '      gateway.held(false);\n',
        '',
      ),
      bug(
        'store/src/session/partition-sessions',
        'sessions are given more although their gateway takes nothing',
        ' || sink.isHeld(),',
        ',',
      ),
      bug(
        'store/src/session/partition-sessions',
        'of the sessions of a gateway that takes again the same are always the first',
        'a.served - b.served',
        '0',
      ),
      bug(
        'store/src/service/consume-service',
        'a window that is asked for lifts the bound of its gateway',
        'this.#gateway.isHeld ? 0 : Math.max(0, this.window)',
        'Math.max(0, this.window)',
      ),
      bug(
        'store/src/service/consume-service',
        'settlements of an earlier leadership are confirmed',
        ' || partition.term !== term || upTo === 0',
        ' || upTo === 0',
      ),
      bug(
        'store/src/partition/resumption',
        'the first answer ends the wait for all',
        '&& this.#awaited.size === 0) this.#end();\n  }\n\n  /** The leadership ended.',
        ') this.#end();\n  }\n\n  /** The leadership ended.',
      ),
      bug(
        'store/src/partition/resumption',
        'a gateway that says nothing is waited for for ever',
        '    this.#timer = setTimeout(() => this.#end(), ms);\n',
        '',
      ),
      bug(
        'store/src/partition/resumption',
        'a leader that has not asked yet waits no longer than one that has',
        '    this.#arm(Resumption.UNASKED_MS_MAX);',
        '    this.#arm(Resumption.GRACE_MS);',
      ),
      bug(
        'store/src/service/consume-service',
        'a queue whose removal is in the log takes consumers',
        "    if (partition?.leads === true && partition.hasRemoved(queueId)) return 'queue-removed';\n",
        '',
      ),
      bug(
        'store/src/settle/settle-backlog',
        'what follows a settlement that was lost is confirmed',
        '  if (hasLost) return;\n',
        '',
      ),
      bug(
        'store/src/settle/settle-backlog',
        'a receipt is given before what is under way is committed',
        'if (this.#newest !== undefined) this.#newest.receipts.push(...receipts);\n      else confirm(receipts, this.#leadership);',
        'confirm(receipts, this.#leadership);',
      ),
    ],
  },
  {
    tests: 'packages/store-client/test/(partition-consumer|unconfirmed-settles|window-split)',
    bugs: [
      bug(
        'store-client/src/consume/partition-consumer',
        'the next leader is not told what the former one did not confirm',
        "    link.channel.send({ type: 'settle-late', ...markOf(place), items: place.unconfirmed.items() });\n",
        '',
      ),
      bug(
        'store-client/src/consume/partition-consumer',
        'that all was said is said first',
        '    this.#routes.announced(partition, link.nodeId, term);\n',
        "    link.channel.send({ type: 'resumed', partition, term });\n    this.#routes.announced(partition, link.nodeId, term);\n",
      ),
      bug(
        'store-client/src/consume/partition-consumer',
        'the first of two messages is confirmed for both',
        'upTo: settled.length > 0 ? 0 : mark.upTo',
        'upTo: mark.upTo',
      ),
      bug(
        'store-client/src/consume/partition-consumer',
        'a leader of the past is answered',
        '    if (this.#routes.leaderOf(partition) !== link.nodeId) return;\n    const place',
        '    const place',
      ),
      bug(
        'store-client/src/consume/unconfirmed-settles',
        'a confirmation forgets one more',
        'Math.min(upTo + 1, this.#next)',
        'Math.min(upTo + 2, this.#next)',
      ),
      bug(
        'store-client/src/consume/window-split',
        'what is held of a partition without a leader takes no place',
        'if (part.isRetiring || !part.isOpen) taken += part.bound;',
        'if (part.isRetiring) taken += part.bound;',
      ),
    ],
  },
  {
    tests: 'packages/gateway/test/deliver/',
    bugs: [
      bug(
        'gateway/src/deliver/queue-attachment',
        'a new leader is not told what the client holds',
        '      held: draw.held.claims(),',
        '      held: [],',
      ),
      bug(
        'gateway/src/deliver/queue-attachment',
        'what is answered is claimed all the same',
        '      draw.held.remove(delivery);\n      this.#host.consumers.settle(draw',
        '      this.#host.consumers.settle(draw',
      ),
      bug(
        'gateway/src/deliver/queue-attachment',
        'a partition that is assigned away is left with jobs running',
        'if (draw.part.isRetiring && draw.part.held === 0) this.#leave(draw);\n  }',
        'if (draw.part.isRetiring) this.#leave(draw);\n  }',
      ),
    ],
  },
];
