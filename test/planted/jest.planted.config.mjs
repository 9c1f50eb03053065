import sound from '../../jest.config.mjs';

const [[pattern, [, options]]] = Object.entries(sound.transform);

/** The tests as they are, over sources with one planted bug. */
export default {
  ...sound,
  rootDir: new URL('../..', import.meta.url).pathname,
  transform: { [pattern]: [new URL('planting-transformer.cjs', import.meta.url).pathname, options] },
  testSequencer: new URL('near-first-sequencer.mjs', import.meta.url).pathname,
  reporters: [new URL('report-reporter.mjs', import.meta.url).pathname],
};
