import { describe, expect, jest, test } from '@jest/globals';
import { simulateCluster } from '../src/cluster/cluster-history.ts';
import { withBackups } from '../src/cluster/cluster-knobs.ts';
import { simulateLog } from '../src/log/log-history.ts';
import { simulateRaft } from '../src/raft/raft-history.ts';
import { withClears, withSessions } from '../src/sessions/session-knobs.ts';

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

/**
 * Seeds that found something, with what they found. Each failed until it was mended. A change of what a seed draws makes
 * another history of it, so where the cause could be told it has a test beside the code as well; the seed stays.
 */
describe('seeds that found something', () => {
  // The next frame's power loss then took both, after they were acknowledged, or made the log look damaged.
  test.each([6, 15, 24, 39])('a killed process left a frame it had not synced: log seed %i', async (seed) => {
    expect((await simulateLog(seed)).failure).toBeUndefined();
  });

  // The system called its pages clean, and every later sync left them out.
  test.each([9, 25, 59, 114, 117])('a frame whose sync had failed was taken for durable: log seed %i', async (seed) => {
    expect((await simulateLog(seed)).failure).toBeUndefined();
  });

  // The segment after it said where it ended, and it did not end there.
  test('a cut on a full disk went with the power, and looked like damage: log seed 197', async () => {
    expect((await simulateLog(197)).failure).toBeUndefined();
  });

  // Its sync had failed: who opened the log next found nothing left to cut, and wrote down where it ended.
  test('a cut that nobody knew to be durable went with the power: log seed 702343', async () => {
    expect((await simulateLog(702_343)).failure).toBeUndefined();
  });

  // They were applied while the segment was looked at, and covered by the image that was taken before it went.
  test('entries that came alive were given back with their segment: raft seed 330868', async () => {
    expect((await simulateRaft(330_868)).failure).toBeUndefined();
  });

  // Only a turn's write told the node, and one without groups has none.
  test('a log that failed while space was given back went on being asked: raft seed 330039', async () => {
    expect((await simulateRaft(330_039)).failure).toBeUndefined();
  });

  // Of the simulator: no log tells it from a torn write, so who started on it forgot what it had acknowledged, and voted.
  test('the last frame rotted with none behind it: raft seed 1010194', async () => {
    expect((await simulateRaft(1_010_194)).failure).toBeUndefined();
  });

  // One read of the first addition hung on the disk for 4.6 s; when it came, it found the log of one and the rows of another.
  test('a replica was removed and added again while it was being added: raft seed 1110032', async () => {
    expect((await simulateRaft(1_110_032)).failure).toBeUndefined();
  });

  // It had begun alone, and the entry with which others joined it stood behind one that had rotted.
  test('a node took itself for the whole group, and led beside the majority: raft seed 2730289', async () => {
    expect((await simulateRaft(2_730_289)).failure).toBeUndefined();
  });

  // Of the simulator: a node whose disk rotted before it had a group was given one, beside another that was lost.
  test.each([1_310_555, 1_310_570])('a group lost its majority for good: raft seed %i', async (seed) => {
    expect((await simulateRaft(seed)).failure).toBeUndefined();
  });

  // A store that stopped said so for good, while another led: the publishes behind stayed on their way and overtook it.
  test('a publish at QoS 2 that was given up came behind those after it: sessions seed 2800039', async () => {
    const options = { scenario: 'sessions', adjust: withSessions, safetyMs: 20_000 };
    expect((await simulateCluster(2_800_039, options)).failure).toBeUndefined();
  });

  // A store that was paused said in the next leader's term that it leads: who turned to it was given nothing any more.
  test('a kept session was attached to a leader of before, and starved: clears seed 3500006', async () => {
    const options = { scenario: 'clears', adjust: withClears, safetyMs: 20_000 };
    expect((await simulateCluster(3_500_006, options)).failure).toBeUndefined();
  });

  // Its gateway was gone, and the store took that reading for one under way for a minute; who read was patient for eight seconds.
  test('a backup that broke off stood in the way of itself: backups seed 7100151', async () => {
    const options = { scenario: 'backups', adjust: withBackups, safetyMs: 10_000 };
    expect((await simulateCluster(7_100_151, options)).failure).toBeUndefined();
  });
});
