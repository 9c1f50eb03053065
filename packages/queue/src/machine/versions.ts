/**
 * What the machine does with an entry never changes once a release wrote such entries: a change is a new number here
 * and a branch on it where it matters, and the old branch stays.
 *
 * | version | date       | what changed |
 * | ------- | ---------- | ------------ |
 * | 1       | 2026-11-20 | first        |
 * | 2       | 2026-11-20 | batches may be numbered, and are then stored once; no batch of version 1 was |
 * | 3       | 2026-11-20 | a queue may erase: an empty payload ends the value of its key; no queue of before does; a partition may have sessions |
 * | 4       | 2026-11-20 | sessions may have left wills |
 * | 5       | 2026-11-20 | records may say which exchange of their publisher they are, and each queue takes such a one once; sessions may have packet ids |
 * | 6       | 2026-11-21 | sessions may remember refusals with packet ids; no row of before does |
 * | 7       | 2026-11-21 | opens have a ticket, and sessions remember it: asked again, one begins no session that was there before |
 * | 8       | 2026-11-21 | a close may leave it open what its session was sent; no session of before is left so |
 * | 9       | 2026-11-21 | a session may end in portions; each of before ends in the entry that ends it, and those that say so |
 * | 10      | 2026-11-22 | a removal may name the epoch of the image that lacks the queue, and the machine's row keeps the highest; no removal of before does |
 */
export const MACHINE_VERSION = 10;

/** From here on the machine's row has an epoch. */
export const MACHINE_VERSION_OF_REMOVALS = 10;

/**
 * What a partition's row says until a command of a later version was applied: it is what it takes to go on with the rows,
 * and not who wrote them. A build of before may so go on with what a newer one kept, and be sent an image of it, for as
 * long as nothing new is in it. Releases of before clusters had feature levels wrote their own.
 */
export const MACHINE_VERSION_FIRST = 8;
