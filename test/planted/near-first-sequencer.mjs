import { basename, dirname } from 'node:path';
import Sequencer from '@jest/test-sequencer';

/**
 * A run over a planted bug ends with the first suite that fails, and that is nearly always the one that is named like the
 * damaged file, or lies beside it. In jest's order, by size, many others are played before it.
 */
export default class NearFirstSequencer extends Sequencer {
  sort(tests) {
    const { file } = JSON.parse(process.env.SLUICE_PLANTED ?? '{"file":""}');
    const [name, folder] = [basename(file, '.ts'), dirname(file).replace('/src', '/test')];
    const farnessOf = ({ path }) => {
      if (basename(path) === `${name}.test.ts`) return 0;
      if (basename(path).startsWith(`${name}-`)) return 1;
      return dirname(path).endsWith(`/${folder}`) ? 2 : 3;
    };
    return super.sort(tests).sort((a, b) => farnessOf(a) - farnessOf(b));
  }
}
