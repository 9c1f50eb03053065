import { describe } from '@jest/globals';
import { EntryKind } from '@sluice/raft/entry';
import fc from 'fast-check';
import { CALL_CODECS, CHANNEL_CODECS } from '../src/wire/codecs.ts';
import { bytes, type CodecCase, integer, list, message, testCodecs, text, uint32 } from './support/codec-cases.ts';

const entry = fc.record({
  index: integer,
  term: integer,
  kind: fc.constantFrom(...Object.values(EntryKind)),
  data: bytes,
});
const snapshot = fc.record({
  index: integer,
  term: integer,
  membership: fc.record({
    voters: list(integer),
    votersOutgoing: list(integer),
    learners: list(integer),
    learnersNext: list(integer),
  }),
});
const raftMessage = (type: string, fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> =>
  message(type, { from: integer, to: integer, term: integer, ...fields });
const vote = { lastIndex: integer, lastTerm: integer, force: fc.boolean() };
const raftFrame = fc.record({
  messages: list(
    fc.record({
      groupId: integer,
      message: fc.oneof(
        raftMessage('pre-vote', vote),
        raftMessage('vote', vote),
        raftMessage('pre-vote-response', { granted: fc.boolean() }),
        raftMessage('vote-response', { granted: fc.boolean() }),
        raftMessage('append', {
          prevIndex: integer,
          prevTerm: integer,
          first: integer,
          last: integer,
          entries: list(entry),
          commit: integer,
          stint: integer,
        }),
        raftMessage('append-response', {
          index: integer,
          rejected: fc.boolean(),
          hintIndex: integer,
          hintTerm: integer,
          stint: integer,
        }),
        raftMessage('heartbeat', { commit: integer, readContext: integer }),
        raftMessage('heartbeat-response', { readContext: integer }),
        raftMessage('snapshot', { snapshot, stint: integer }),
        raftMessage('timeout-now', {}),
      ),
    }),
  ),
  quiesced: list(
    fc.record({ groupId: integer, notice: fc.record({ leader: integer, term: integer, lastIndex: integer }) }),
  ),
});

const CASES: CodecCase[] = [
  ['raft frame', CHANNEL_CODECS.raft.request, raftFrame],
  [
    'snapshot chunk',
    CHANNEL_CODECS['raft-snapshot'].request,
    fc.oneof(
      message('begin', { groupId: integer, from: integer, to: integer, term: integer, stint: integer, snapshot }),
      message('rows', { rows: list(fc.record({ key: bytes, value: bytes })), crc: uint32 }),
      message('entries', { entries: list(entry), crc: uint32 }),
      message('end', { rows: integer, entries: integer }),
    ),
  ],
  [
    'snapshot answer',
    CHANNEL_CODECS['raft-snapshot'].response,
    fc.oneof(message('received', { chunks: integer }), message('done', {}), message('refused', { reason: text })),
  ],
  [
    'backup request',
    CALL_CODECS.backup.request,
    fc.oneof(
      message('open', { group: integer }),
      message('read', { reading: integer }),
      message('close', { reading: integer }),
    ),
  ],
  [
    'backup response',
    CALL_CODECS.backup.response,
    fc.oneof(
      message('opened', { reading: integer }),
      message('piece', { isLast: fc.boolean(), bytes }),
      message('closed', {}),
      message('refused', {
        code: fc.constantFrom('not-leader', 'busy', 'unavailable'),
        message: text,
        leader: integer,
      }),
    ),
  ],
];

describe('codecs of the log and its images', () => {
  testCodecs(CASES);
});
