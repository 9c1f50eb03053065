import { beforeEach, expect, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import type { Topology } from '@sluice/meta/topology';
import type { BackupRequest, BackupResponse } from '@sluice/rpc/contract/backup';
import { BackupAdministration } from '../../src/administration/backup-administration.ts';

/** Three nodes, of which each has every group; who leads is said by the test. */
const topology = {
  epoch: 5,
  clusterId: 'c',
  partitionCount: 2,
  leaderOf: () => 1,
  replicasOf: () => [1, 2, 3],
  coordinators: () => [1, 2, 3].map((nodeId) => ({ nodeId })),
  isAlive: () => true,
} as unknown as Topology;

type Answer = (request: BackupRequest) => BackupResponse | undefined;
let nodes: Map<number, Answer>;
let asked: string[];
let backup: BackupAdministration;

beforeEach(() => {
  nodes = new Map();
  asked = [];
  const transport = {
    call: async (nodeId: number, _service: string, request: BackupRequest) => {
      asked.push(`${nodeId} ${request.type}`);
      const answer = nodes.get(nodeId)?.(request);
      if (answer === undefined) throw new SluiceError('PEER_UNAVAILABLE', 'nobody there');
      return answer;
    },
  };
  backup = new BackupAdministration({ topology, transport: transport as never, leading: () => 2 });
});

const notLeader =
  (leader: number): Answer =>
  () => ({ type: 'refused', code: 'not-leader', message: 'not led here', leader });

/** Gives these pieces; an empty one means that nothing is there yet. */
function gives(...pieces: string[]): Answer {
  return ({ type }) => {
    if (type === 'open') return { type: 'opened', reading: 4 };
    if (type === 'close') return { type: 'closed' };
    const piece = pieces.shift();
    return piece === undefined ? undefined : { type: 'piece', isLast: pieces.length === 0, bytes: Buffer.from(piece) };
  };
}

async function textOf(group: number): Promise<string> {
  const outcome = await backup.read(group);
  if (!outcome.ok) throw new Error(outcome.message);
  let text = '';
  for await (const piece of outcome.value) text += Buffer.from(piece).toString();
  return text;
}

test('a group comes from who leads it, piece by piece, an empty one waited over', async () => {
  nodes.set(1, notLeader(3)).set(3, gives('', 'one ', '', 'two'));
  expect(await textOf(1)).toBe('one two');
  expect(asked).toEqual(['1 open', '3 open', '3 read', '3 read', '3 read', '3 read']);
});

test('the metadata is asked of the coordinator that leads', async () => {
  nodes.set(2, gives('all'));
  expect(await textOf(0)).toBe('all');
  expect(asked[0]).toBe('2 open');
});

test('nobody is asked twice, and what was said is told', async () => {
  nodes.set(1, notLeader(0)).set(2, notLeader(1));
  expect(await backup.read(1)).toMatchObject({
    ok: false,
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/not led/),
  });
  expect(asked).toEqual(['1 open', '2 open', '3 open']);
  expect(await backup.read(9)).toMatchObject({ ok: false, code: 'NOT_FOUND' });
});

test('another backup at the node is a refusal, not a reason to ask others', async () => {
  nodes.set(1, () => ({ type: 'refused', code: 'busy', message: 'one at a time', leader: 0 }));
  expect(await backup.read(1)).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/one at a time/) });
  expect(asked).toEqual(['1 open']);
});

test('a node that goes ends it with an error; a reader that goes is told to the node', async () => {
  nodes.set(1, ({ type }) => (type === 'open' ? { type: 'opened', reading: 1 } : undefined));
  await expect(textOf(1)).rejects.toMatchObject({ code: 'BACKUP_BROKEN' });
  asked.length = 0;
  nodes.set(1, gives('a', 'b', 'c'));
  const outcome = await backup.read(1);
  if (outcome.ok) for await (const _piece of outcome.value) break;
  expect(asked).toEqual(['1 open', '1 read', '1 close']);
});
