import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';

/**
 * Loaded by a node that is started with a prefix (`--cpu-prof` is no word that NODE_OPTIONS takes): its processor time by
 * function, from its start or from SIGUSR2 on, is written when it ends.
 */
const folder = process.env.SLUICE_PROFILE;
mkdirSync(folder, { recursive: true });
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.setSamplingInterval', { interval: 500 });
session.post('Profiler.start');
// From here on anew: what the start cost is left out.
process.on('SIGUSR2', () => session.post('Profiler.stop', () => session.post('Profiler.start')));
process.once('exit', () => {
  session.post('Profiler.stop', (_, { profile } = {}) => {
    if (profile !== undefined)
      writeFileSync(join(folder, `${process.env.SLUICE_NODE}.cpuprofile`), JSON.stringify(profile));
  });
});
