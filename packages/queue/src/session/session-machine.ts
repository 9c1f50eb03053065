import type { Rows, WantRow } from '../machine/row/rows.ts';
import { readU53 } from '../record/byte-cursor.ts';
import { decodeSessionCommand, SessionCommandKind } from './command-codec.ts';
import type {
  ClaimWillsCommand,
  CloseCommand,
  EndPortionCommand,
  EndWillsCommand,
  ExchangeCommand,
  ExpireCommand,
  FireWillsCommand,
  OpenCommand,
  PassCommand,
  SessionCommand,
  SubscribeCommand,
  UnsubscribeCommand,
} from './commands.ts';
import { Endings } from './endings.ts';
import { decodeExchangeRow, encodeExchangeRow } from './exchange-row.ts';
import { type BoundId, Exchanges, type RefusedId, type TakenId } from './exchanges.ts';
import {
  clientIdOf,
  connectedRowKey,
  cursorRowKey,
  exchangeRowKey,
  numbersRowKey,
  portionRowKey,
  SessionTable,
  sessionRowKey,
} from './row-keys.ts';
import { KEPT_FILTER_BYTES_MAX, KEPT_SUBSCRIPTIONS_MAX } from './session-limits.ts';
import type { SessionEffect, SessionReply } from './session-reply.ts';
import {
  type ConnectedRow,
  decodeConnectedRow,
  decodeCursorRow,
  decodeNumbersRow,
  decodeSessionRow,
  decodeStreamRow,
  encodeConnectedRow,
  encodeCursorRow,
  encodeNumbersRow,
  encodeSessionRow,
  isExpired,
  type NumbersRow,
  type SessionRow,
} from './session-rows.ts';
import { type StreamHost, type StreamState, Streams } from './streams.ts';
import { Wills } from './wills.ts';

/**
 * The sessions of one partition that outlive their connection.
 *
 * A message for ten thousand sessions must not be written ten thousand times. So sessions own no messages: each distinct
 * filter of a partition has one stream, a queue of the partition's queue machine, and a session has a cursor in it. A
 * stream begins with the first session that wants its filter and ends with the last; what is in it before a session comes
 * is not for that session, because its cursor begins at the tail in the order of the log.
 *
 * Every attach raises the epoch, a number the partition never gives twice: whoever comes with an older one has lost the
 * session and changes nothing of it.
 *
 * Of a connection that ends with its session there is nothing here, unless it leaves a will: then it has a session as
 * well, without streams, for as long as it lives, and with it an epoch, a gateway, and somebody who notices their end.
 *
 * Resident are the filters, who is connected, what wills there are, who is being taken apart (`endings`), and two numbers.
 * Of a session that waits for its client nothing else is.
 */
export class SessionMachine {
  readonly wills = new Wills();
  readonly endings: Endings;
  readonly #streams: Streams;
  readonly #connected = new Map<string, ConnectedRow>();
  readonly #numbers: NumbersRow = { last: 0, sessions: 0 };
  #areNumbersDirty = false;

  private constructor(host: StreamHost, portionStreams: number) {
    this.endings = new Endings(portionStreams);
    this.#streams = new Streams(host, () => this.#number());
  }

  /** From the rows of `SESSION_RESIDENT_RANGES`; other rows are passed over. */
  static restore(
    rows: Iterable<{ key: Uint8Array; value: Uint8Array }>,
    host: StreamHost,
    portionStreams = Endings.PORTION_STREAMS,
  ): SessionMachine {
    const machine = new SessionMachine(host, portionStreams);
    for (const { key, value } of rows) {
      if (key[0] === SessionTable.CONNECTED) machine.#connected.set(clientIdOf(key), decodeConnectedRow(value));
      else if (key[0] === SessionTable.NUMBERS) Object.assign(machine.#numbers, decodeNumbersRow(value));
      else if (key[0] === SessionTable.STREAM) machine.#streams.restore(readU53(key, 1), decodeStreamRow(value));
      else if (key[0] === SessionTable.PORTION) machine.endings.restore(key, value);
      else machine.wills.restore(key, value);
    }
    return machine;
  }

  /** Commands of other tenants are passed over. */
  neededRows(commands: readonly Uint8Array[], want: WantRow): void {
    for (const bytes of commands) {
      const kind = bytes[0] as number;
      if (!KINDS.has(kind)) continue;
      const command = decodeSessionCommand(bytes);
      if (command.type === 'pass-session') {
        for (const { streamId, clientId } of command.passes) want(cursorRowKey(streamId, clientId));
      } else if (command.type === 'expire-sessions') {
        for (const clientId of command.clientIds) {
          want(sessionRowKey(clientId));
          want(exchangeRowKey(clientId));
        }
      } else if (command.type === 'exchange-session') {
        const { clientId, steps } = command;
        want(exchangeRowKey(clientId));
        for (const step of steps) if (step.type === 'receive') want(cursorRowKey(step.streamId, clientId));
      } else if ('clientId' in command) {
        want(sessionRowKey(command.clientId));
        if (command.type === 'end-portion') want(portionRowKey(command.number, command.part));
        if (ENDING.has(command.type)) want(exchangeRowKey(command.clientId));
      }
    }
  }

  /** @throws SluiceError for a command of a newer release or one that cannot be read: the partition must stop. */
  apply(bytes: Uint8Array, nowMs: number, rows: Rows, effects: SessionEffect[]): SessionReply {
    const command = decodeSessionCommand(bytes);
    switch (command.type) {
      case 'open-session':
        return this.#open(command, nowMs, rows, effects);
      case 'subscribe-session':
        return this.#subscribe(command, rows, effects);
      case 'unsubscribe-session':
        return this.#unsubscribe(command, rows, effects);
      case 'pass-session':
        return this.#pass(command, rows, effects);
      case 'close-session':
        return this.#close(command, nowMs, rows, effects);
      case 'expire-sessions':
        return this.#expire(command, nowMs, rows, effects);
      case 'end-portion':
        return this.#endPortion(command, rows, effects);
      case 'exchange-session':
        return this.#exchange(command, rows, effects);
      case 'fire-wills':
        return this.#fireWills(command, nowMs, rows, effects);
      case 'claim-wills':
        return this.#claimWills(command, rows);
      case 'end-wills':
        return this.#endWills(command, rows);
    }
  }

  flush(rows: Rows): void {
    this.#streams.flush(rows);
    if (this.#areNumbersDirty) rows.put(numbersRowKey(), encodeNumbersRow(this.#numbers));
    this.#areNumbersDirty = false;
  }

  streams(): Iterable<Readonly<StreamState>> {
    return this.#streams.all();
  }

  stream(streamId: number): Readonly<StreamState> | undefined {
    return this.#streams.get(streamId);
  }

  get streamsVersion(): number {
    return this.#streams.version;
  }

  get streamCount(): number {
    return this.#streams.count;
  }

  /** Of connected sessions: who has it. */
  connected(clientId: string): Readonly<ConnectedRow> | undefined {
    return this.#connected.get(clientId);
  }

  allConnected(): Iterable<[string, Readonly<ConnectedRow>]> {
    return this.#connected;
  }

  get connectedCount(): number {
    return this.#connected.size;
  }

  get sessionCount(): number {
    return this.#numbers.sessions;
  }

  #open(command: OpenCommand, nowMs: number, rows: Rows, effects: SessionEffect[]): SessionReply {
    const { clientId, identity, gateway, cleanStart, expiryS, ticket = 0, will, endsInPortions } = command;
    const known = readSession(rows, clientId);
    const former = known !== undefined && isExpired(known, nowMs) ? undefined : known;
    if (former !== undefined && former.identity !== identity) return { type: 'session-denied' };
    if (former !== undefined && this.#isAskedAgain(clientId, former, ticket, will)) {
      const { epoch, subscriptions } = former;
      const present = ticket === 0 ? this.wills.of(clientId)?.isPresent === true : former.wasPresent;
      // What it found the first time was written over.
      const ids = { ...idsInUse(rows, clientId), isUnsure: present };
      return { type: 'session-opened', epoch, present, subscriptions, ...ids, formerGateway: 0, formerEpoch: 0 };
    }
    // What ends with its connection, and was there for its will, ends when that is taken over.
    const isOfConnection = former?.expiryS === 0 && this.wills.of(clientId) !== undefined;
    const session = cleanStart || isOfConnection ? undefined : former;
    if (session !== undefined) this.wills.resumed(clientId, nowMs, rows, effects);
    else if (known !== undefined) this.#remove(clientId, known, endsInPortions, rows, effects);
    const formerGateway = former?.gateway ?? 0;
    const formerEpoch = former?.epoch ?? 0;
    if (session === undefined && expiryS === 0 && will === undefined) {
      return { ...NOTHING_KEPT, formerGateway, formerEpoch };
    }
    const epoch = this.#number();
    if (session === undefined) this.#numbers.sessions++;
    const subscriptions = session?.subscriptions ?? [];
    // Begun by this very CONNECT, and closed while its answer was on the way: it was not there before.
    const wasPresent = session !== undefined && (ticket === 0 || session.ticket !== ticket || session.wasPresent);
    const isOfTicket = { ticket, wasPresent, isUnsure: false };
    const row: SessionRow = { epoch, identity, gateway, sinceMs: nowMs, expiryS, ...isOfTicket, subscriptions };
    rows.put(sessionRowKey(clientId), encodeSessionRow(row));
    this.#connected.set(clientId, { epoch, gateway });
    rows.put(connectedRowKey(clientId), encodeConnectedRow({ epoch, gateway }));
    if (will !== undefined) this.wills.leave(clientId, epoch, wasPresent, will, rows);
    // A gateway that has it still is overtaken, and is not asked what it sent.
    const isUnsure = session !== undefined && (session.isUnsure || session.gateway !== 0);
    const ids = { ...idsInUse(rows, clientId), isUnsure };
    return { type: 'session-opened', epoch, present: wasPresent, subscriptions, ...ids, formerGateway, formerEpoch };
  }

  #subscribe(command: SubscribeCommand, rows: Rows, effects: SessionEffect[]): SessionReply {
    const { clientId, epoch } = command;
    const session = this.#held(clientId, epoch, rows);
    if (session === undefined) return FENCED;
    const { subscriptions } = session;
    let filterBytes = 0;
    for (const { filter } of subscriptions) filterBytes += filter.length;
    const places = new Map(subscriptions.map(({ filter }, at) => [filter, at]));
    const streamIds: number[] = [];
    for (const { filter, options, subscriptionId, isStored } of command.subscriptions) {
      const at = places.get(filter) ?? -1;
      const former = subscriptions[at]?.streamId ?? 0;
      const room = at === -1 ? filter.length : 0;
      if (
        (at === -1 && subscriptions.length >= KEPT_SUBSCRIPTIONS_MAX) ||
        filterBytes + room > KEPT_FILTER_BYTES_MAX ||
        (isStored && !this.#streams.mayRead(filter))
      ) {
        streamIds.push(-1);
        continue;
      }
      filterBytes += room;
      if (former !== 0 && !isStored) this.#streams.leave(former, clientId, rows, effects);
      const streamId = isStored ? former || this.#streams.join(filter, clientId, command, rows, effects) : 0;
      const subscription = { filter, options, subscriptionId, streamId };
      if (at === -1) places.set(filter, subscriptions.push(subscription) - 1);
      else subscriptions[at] = subscription;
      streamIds.push(streamId);
    }
    rows.put(sessionRowKey(clientId), encodeSessionRow(session));
    return { type: 'session-subscribed', streamIds };
  }

  #unsubscribe(command: UnsubscribeCommand, rows: Rows, effects: SessionEffect[]): SessionReply {
    const { clientId, epoch, filters } = command;
    const session = this.#held(clientId, epoch, rows);
    if (session === undefined) return FENCED;
    const held = new Map(session.subscriptions.map((each) => [each.filter, each]));
    const existed: boolean[] = [];
    for (const filter of filters) {
      const gone = held.get(filter);
      existed.push(gone !== undefined);
      held.delete(filter);
      if (gone !== undefined && gone.streamId !== 0) this.#streams.leave(gone.streamId, clientId, rows, effects);
    }
    const row = { ...session, subscriptions: [...held.values()] };
    rows.put(sessionRowKey(clientId), encodeSessionRow(row));
    return { type: 'session-unsubscribed', existed };
  }

  /** What comes late, of somebody who lost the session or of a filter that was left, is nobody's any more. */
  #pass(command: PassCommand, rows: Rows, effects: SessionEffect[]): SessionReply {
    for (const { clientId, epoch, streamId, ranges } of command.passes) {
      if (this.#connected.get(clientId)?.epoch !== epoch) continue;
      passCursor(clientId, streamId, ranges, rows, effects);
    }
    return PASSED;
  }

  #exchange(command: ExchangeCommand, rows: Rows, effects: SessionEffect[]): SessionReply {
    const { clientId, epoch, serial, steps } = command;
    if (this.#connected.get(clientId)?.epoch !== epoch) return FENCED;
    const exchanges = readExchanges(rows, clientId);
    if (exchanges.begins(epoch, serial)) {
      for (const step of steps) {
        exchanges.apply(step, () => this.#number());
        if (step.type !== 'receive' || step.streamId === 0) continue;
        passCursor(clientId, step.streamId, [step.offset, step.offset + 1], rows, effects);
      }
      rows.put(exchangeRowKey(clientId), encodeExchangeRow(exchanges));
    }
    return { type: 'session-exchanged', numbers: exchanges.numbersOf(steps) };
  }

  #close(command: CloseCommand, nowMs: number, rows: Rows, effects: SessionEffect[]): SessionReply {
    const { clientId, epoch, expiryS, takesWillBack, leavesUnsure = false } = command;
    const session = this.#held(clientId, epoch, rows);
    if (session === undefined) return { type: 'session-closed', changed: false };
    const left = expiryS ?? session.expiryS;
    if (takesWillBack === true) this.wills.cancel(clientId, rows, effects);
    if (left === 0) this.#remove(clientId, session, command.endsInPortions, rows, effects);
    else {
      this.#disconnect(clientId, rows);
      const row = { ...session, gateway: 0, sinceMs: nowMs, expiryS: left, isUnsure: leavesUnsure };
      rows.put(sessionRowKey(clientId), encodeSessionRow(row));
      this.wills.disconnected(clientId, left, nowMs, rows, effects);
      const key = exchangeRowKey(clientId);
      if (rows.get(key) !== undefined && readExchanges(rows, clientId).isEmpty) rows.delete(key);
    }
    return { type: 'session-closed', changed: true };
  }

  #expire(command: ExpireCommand, nowMs: number, rows: Rows, effects: SessionEffect[]): SessionReply {
    const clientIds: string[] = [];
    for (const clientId of command.clientIds) {
      const session = readSession(rows, clientId);
      if (session === undefined || !isExpired(session, nowMs)) continue;
      this.#remove(clientId, session, command.endsInPortions, rows, effects);
      clientIds.push(clientId);
    }
    return { type: 'sessions-expired', clientIds };
  }

  #endPortion({ clientId, number, part }: EndPortionCommand, rows: Rows, effects: SessionEffect[]): SessionReply {
    const streamIds = this.endings.take(number, part, rows);
    if (streamIds === undefined) return { type: 'portion-ended', changed: false };
    // Its client may be back, and its cursors are those of the session that it has now.
    const { subscriptions = [] } = readSession(rows, clientId) ?? {};
    const read = new Set(subscriptions.map(({ streamId }) => streamId));
    for (const streamId of streamIds) {
      if (read.has(streamId)) this.#streams.release(streamId, effects);
      else this.#streams.leave(streamId, clientId, rows, effects);
    }
    return { type: 'portion-ended', changed: true };
  }

  #fireWills({ clientIds }: FireWillsCommand, nowMs: number, rows: Rows, effects: SessionEffect[]): SessionReply {
    let count = 0;
    for (const clientId of clientIds) if (this.wills.fireIfRipe(clientId, nowMs, rows, effects)) count++;
    return { type: 'wills-fired', count };
  }

  #claimWills({ gateway, numbers }: ClaimWillsCommand, rows: Rows): SessionReply {
    return { type: 'wills-claimed', group: this.wills.claim(gateway, numbers, () => this.#number(), rows) };
  }

  #endWills({ group }: EndWillsCommand, rows: Rows): SessionReply {
    return { type: 'wills-ended', count: this.wills.published(group, rows) };
  }

  /** The connection that has the session is the one that asks for it. */
  #isAskedAgain(clientId: string, former: SessionRow, ticket: number, asked: OpenCommand['will']): boolean {
    const { epoch, gateway } = former;
    if (gateway === 0) return false;
    if (ticket !== 0) return former.ticket === ticket;
    const will = this.wills.of(clientId);
    return asked !== undefined && will?.number === epoch && will.ticket === asked.ticket;
  }

  /** The session, if this epoch still has it. */
  #held(clientId: string, epoch: number, rows: Rows): SessionRow | undefined {
    return this.#connected.get(clientId)?.epoch === epoch ? readSession(rows, clientId) : undefined;
  }

  /** A will that is still there is due: nothing can hold it back for longer than its session. */
  #remove(
    clientId: string,
    { epoch, subscriptions }: SessionRow,
    inPortions: boolean | undefined,
    rows: Rows,
    effects: SessionEffect[],
  ): void {
    this.wills.fire(clientId, rows, effects);
    const streamIds = subscriptions.map(({ streamId }) => streamId).filter((streamId) => streamId !== 0);
    if (inPortions === true && this.endings.takes(streamIds.length)) {
      this.endings.begin(epoch, clientId, streamIds, rows, effects);
    } else for (const streamId of streamIds) this.#streams.leave(streamId, clientId, rows, effects);
    rows.delete(sessionRowKey(clientId));
    if (rows.get(exchangeRowKey(clientId)) !== undefined) rows.delete(exchangeRowKey(clientId));
    this.#disconnect(clientId, rows);
    this.#numbers.sessions--;
    this.#areNumbersDirty = true;
  }

  #disconnect(clientId: string, rows: Rows): void {
    if (this.#connected.delete(clientId)) rows.delete(connectedRowKey(clientId));
  }

  #number(): number {
    this.#areNumbersDirty = true;
    return ++this.#numbers.last;
  }
}

const FENCED: SessionReply = Object.freeze({ type: 'session-fenced' });
const PASSED: SessionReply = Object.freeze({ type: 'session-passed' });
const NOTHING_KEPT = {
  type: 'session-opened',
  epoch: 0,
  present: false,
  subscriptions: [],
  taken: [],
  bound: [],
  refused: [],
  isUnsure: false,
} as const;
const KINDS: ReadonlySet<number> = new Set(Object.values(SessionCommandKind));
/** What may end a session. */
const ENDING: ReadonlySet<SessionCommand['type']> = new Set(['open-session', 'close-session']);

function readExchanges(rows: Rows, clientId: string): Exchanges {
  const value = rows.get(exchangeRowKey(clientId));
  return value === undefined ? new Exchanges() : decodeExchangeRow(value);
}

function idsInUse(rows: Rows, clientId: string): { taken: TakenId[]; bound: BoundId[]; refused: RefusedId[] } {
  const { taken, bound, refused } = readExchanges(rows, clientId);
  return {
    taken: [...taken].map(([packetId, number]) => ({ packetId, number })),
    bound: [...bound.values()],
    refused: [...refused].map(([packetId, reasonCode]) => ({ packetId, reasonCode })),
  };
}

function passCursor(
  clientId: string,
  streamId: number,
  ranges: readonly number[],
  rows: Rows,
  effects: SessionEffect[],
): void {
  const key = cursorRowKey(streamId, clientId);
  const value = rows.get(key);
  if (value === undefined) return;
  const cursor = decodeCursorRow(value);
  const before = cursor.next;
  let isNew = false;
  for (let i = 0; i < ranges.length; i += 2) {
    if (cursor.pass(ranges[i] as number, ranges[i + 1] as number)) isNew = true;
  }
  if (isNew) rows.put(key, encodeCursorRow(cursor));
  if (cursor.next !== before) effects.push({ type: 'stream-passed', streamId });
}

function readSession(rows: Rows, clientId: string): SessionRow | undefined {
  const value = rows.get(sessionRowKey(clientId));
  return value === undefined ? undefined : decodeSessionRow(value);
}
