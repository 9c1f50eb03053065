import type { Play, Stage } from './play.ts';

const EVEN_MS_MAX = 180_000;
const COPIES = 3;

/**
 * Grows and shrinks from one number of stores to the next. Who leaves is the oldest: the node that founded the cluster, and
 * that all others were told to join, is nothing special.
 */
export function resize({ steps, form }: { steps: readonly number[]; form: 'compact' | 'tiers' }): Play {
  const prefix = form === 'compact' ? 'node' : 'store';
  const roles = form === 'compact' ? undefined : 'store';
  return {
    beginning: form === 'compact' ? 'one' : 'tiers',
    // Clients of a node that leaves are sent elsewhere over that time.
    flags: ['--set', 'node.drainTimeout=8s'],
    async perform(stage) {
      let newest = 1;
      const stores = [`${prefix}-1`];
      for (const count of steps) {
        if (count > stores.length) {
          const more = Array.from({ length: count - stores.length }, () => `${prefix}-${++newest}`);
          await stage.step(`${stores.length} -> ${count}`, async () => {
            stores.push(...more);
            for (const name of more) await stage.cluster.add(name, roles);
            return await becomeEven(stage, stores);
          });
        } else if (count < stores.length) {
          await stage.step(`${stores.length} -> ${count}`, async () => {
            if (count < COPIES) await stage.cluster.command('replicas', String(count));
            while (stores.length > count) await leave(stage, stores.shift() as string);
            return await becomeEven(stage, stores);
          });
        }
      }
    },
  };
}

async function becomeEven({ cluster }: Stage, stores: readonly string[]): Promise<string> {
  return await cluster.even({ stores, copies: Math.min(COPIES, stores.length) }, EVEN_MS_MAX);
}

/** As the help says: stopped when it has no copies left. */
async function leave({ cluster, say }: Stage, name: string): Promise<void> {
  const fromMs = performance.now();
  await cluster.command('leave', name);
  await cluster.emptied(name, EVEN_MS_MAX);
  const { code } = await cluster.node(name).stop();
  say(`  ${name} had nothing left after ${Math.round(performance.now() - fromMs)} ms and stopped with code ${code}`);
  if (code !== 0) throw new Error(`${name} did not end well: ${code}`);
}
