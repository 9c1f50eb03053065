import { API, until } from '../faults/load.ts';
import { flowing, type Play } from './play.ts';

const EVEN_MS_MAX = 120_000;

/** A node that was alone gets two more beside it, and is then gone for good: nothing was only there. */
export const FIRST_NODE_LOST: Play = {
  beginning: 'one',
  async perform({ cluster, load, step }) {
    const three = ['node-1', 'node-2', 'node-3'];
    await step('1 -> 3', async () => {
      await Promise.all(three.slice(1).map((name) => cluster.add(name)));
      return await cluster.even({ stores: three, copies: 3 }, EVEN_MS_MAX);
    });
    await step('node-1 is killed for good', async () => {
      await cluster.node('node-1').kill();
      await flowing(load);
      // The metadata was on the first node alone, too.
      await until('a queue to be created', performance.now() + EVEN_MS_MAX, async () => {
        const { status } = await cluster.rest('node-2').post(API, { topic_filter: 'new/+', is_lastvalue: false });
        return status < 300 || status === 409;
      });
      return undefined;
    });
  },
};
