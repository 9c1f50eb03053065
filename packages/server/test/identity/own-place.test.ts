import { beforeEach, describe, expect, it } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import type { NodeInfo } from '@sluice/meta/node-info';
import { Topology } from '@sluice/meta/topology';
import { OwnPlace } from '../../src/identity/own-place.ts';

const NODE_ID = 7;

let topology: Topology;
let forgotten: number;
let place: OwnPlace;

beforeEach(() => {
  topology = new Topology();
  forgotten = 0;
  place = placeOf(false);
});

function placeOf(keepsData: boolean, leavesOnStop = false): OwnPlace {
  const forget = async () => void forgotten++;
  return new OwnPlace({ topology, supported: { min: 1, max: 2 }, nodeId: NODE_ID, keepsData, leavesOnStop, forget });
}

function becomes(state: NodeInfo['state'] | undefined): void {
  const node = { nodeId: NODE_ID, incarnation: 'i', name: 'n', address: 'a:1', roles: [], rack: '', version: '' };
  topology.applyDelta({
    epoch: topology.epoch + 1,
    changed: [],
    removed: [],
    nodes: state === undefined ? [] : [{ ...node, mqttAddress: '', state }],
    removedNodes: state === undefined ? [NODE_ID] : [],
    partitions: [],
    config: undefined,
  });
  place.look();
}

/** The words, or undefined while the place is there. */
const lost = () => Promise.race([place.lost.then(({ message, hint }) => `${message}; ${hint}`), settled()]);
const settled = () => new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));

it('a build that does not support the level of its cluster ends, and is told what to do', async () => {
  place = placeOf(true);
  becomes('active');
  const level = (to: number): void => {
    const delta = { changed: [], removed: [], nodes: [], removedNodes: [], partitions: [], config: undefined };
    topology.applyDelta({ ...delta, epoch: topology.epoch + 1, featureLevel: { level: to, isHeld: false } });
    place.look();
  };
  level(2);
  expect(await lost()).toBeUndefined();
  level(3);
  expect(await lost()).toBe(
    'the cluster is at feature level 3, and this build supports levels 1 to 2; start a build that supports it, on the same data: the level of a cluster never goes down',
  );
  expect(forgotten).toBe(0);
});

describe('the place of a node that keeps nothing', () => {
  it('is lost when the cluster gave it up, and the directory is nobody’s then', async () => {
    place.look();
    becomes('active');
    becomes('draining');
    expect(await lost()).toBeUndefined();
    becomes('gone');
    expect(await lost()).toMatch(/its id was given up .*; start it again: .* joins as a new one/);
    becomes('gone');
    expect(forgotten).toBe(1);
  });

  it('is lost as well when even its number is forgotten', async () => {
    becomes('active');
    becomes(undefined);
    expect(await lost()).toContain('given up');
  });

  it('is given back by a node that leaves: it ends when it is stopped', async () => {
    becomes('active');
    becomes('leaving');
    becomes('gone');
    expect(await lost()).toBeUndefined();
    expect(forgotten).toBe(0);
  });
});

describe('a stop', () => {
  it('leaves the place as it is: the node comes back', async () => {
    becomes('active');
    await place.leave(() => Promise.reject(new Error('not to be asked')));
    expect(forgotten).toBe(0);
  });

  it('gives it back where that was wanted, without alarm, and whether the cluster heard it or not', async () => {
    for (const tell of [async () => becomes('gone'), () => Promise.reject(new Error('nobody leads'))]) {
      forgotten = 0;
      place = placeOf(false, true);
      becomes('active');
      await place.leave(tell);
      becomes('gone');
      expect([await lost(), forgotten]).toEqual([undefined, 1]);
    }
  });
});

describe('the place of a node that keeps data', () => {
  it('is lost when a node that it was told to join turns out to be of another cluster', async () => {
    place = placeOf(true);
    becomes('active');
    place.isForeign(new SluiceError('DATA_OF_ANOTHER_CLUSTER', 'of another', { hint: 'correct node.join' }));
    expect(await lost()).toBe('of another; correct node.join');
    expect(forgotten).toBe(0);
  });

  it('is never forgotten by itself: what it promised stands in its log', async () => {
    place = placeOf(true);
    becomes('active');
    becomes('gone');
    expect(await lost()).toBeUndefined();
    expect((await place.refused('refused')).hint).toContain('empty data directory');
    expect(forgotten).toBe(0);
  });
});
