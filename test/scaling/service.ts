import { until } from '../faults/load.ts';
import { flowing, type Play } from './play.ts';

const EVEN_MS_MAX = 180_000;
const MOVE_MS_MAX = 60_000;
const THREE = ['node-1', 'node-2', 'node-3'];
const STORES = ['store-1', 'store-2', 'store-3'];
const COORDINATORS = ['coordinator-1', 'coordinator-2', 'coordinator-3'];

/** A node is taken out of service and back, as before a repair. */
export const DRAINED: Play = {
  beginning: 'three',
  flags: ['--set', 'node.drainTimeout=8s'],
  async perform({ cluster, step }) {
    await step('the beginning', () => cluster.even({ stores: THREE, copies: 3 }, EVEN_MS_MAX));
    for (const name of ['node-2', 'node-1']) {
      await step(`drain ${name}`, async () => {
        const told = await cluster.command('drain', name);
        const shares = await cluster.even({ stores: THREE, copies: 3, leaderless: [name] }, EVEN_MS_MAX);
        await until(`${name} to have no clients`, performance.now() + MOVE_MS_MAX, async () => {
          return (await cluster.metric(name, 'sluice_gateway_connections')) === 0;
        });
        return `${told.trim()}; ${shares}`;
      });
      await step(`undrain ${name}`, async () => {
        await cluster.command('undrain', name);
        return await cluster.even({ stores: THREE, copies: 3 }, EVEN_MS_MAX);
      });
    }
  },
};

/** Every coordinator is dead: messages flow, also when a partition's leader dies after them. */
export const NO_COORDINATORS: Play = {
  beginning: 'tiers',
  async perform({ cluster, load, step }) {
    await step('1 -> 3', async () => {
      for (const name of STORES.slice(1)) await cluster.add(name, 'store');
      return await cluster.even({ stores: STORES, copies: 3 }, EVEN_MS_MAX);
    });
    await step('all coordinators are killed', async () => {
      await Promise.all(COORDINATORS.map((name) => cluster.node(name).kill()));
      await flowing(load);
      const status = await until('a status without coordinators', performance.now() + MOVE_MS_MAX, async () => {
        const told = await cluster.command('status');
        return told.includes('No coordinator answers') && told;
      });
      return `\n${status}`;
    });
    await step('store-2, which leads partitions, is killed', async () => {
      await cluster.node('store-2').kill();
      await flowing(load);
      return undefined;
    });
    // It serves what its log says, and is ready when a coordinator has told it the rest.
    const back = cluster.restart('store-2');
    back.catch(() => {});
    await step('store-3 is killed, store-2 is back: still no coordinator', async () => {
      await cluster.node('store-3').kill();
      await flowing(load);
      return undefined;
    });
    const others = cluster.restart('store-3');
    others.catch(() => {});
    await step('coordinators are back', async () => {
      await Promise.all([back, others, ...COORDINATORS.map((name) => cluster.restart(name))]);
      return await cluster.even({ stores: STORES, copies: 3 }, EVEN_MS_MAX);
    });
  },
};
