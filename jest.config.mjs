// One run for the whole repository: unit tests read the TypeScript sources, tests under test/ start the built server.
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/packages', '<rootDir>/test'],
  testMatch: ['**/test/**/*.test.ts', '<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  moduleNameMapper: {
    '^@sluice/([^/]+)/(.*)$': '<rootDir>/packages/$1/src/$2.ts',
    '^fast-check$': '<rootDir>/test/harness/seeded-fast-check.mjs',
  },
  testTimeout: 30_000,
  // One more than the two cores it is to run on: half of the tests wait for servers, clients or election timeouts.
  maxWorkers: 3,
  testSequencer: '<rootDir>/test/harness/long-first-sequencer.mjs',
  reporters: ['default', '<rootDir>/test/harness/left-out-reporter.mjs'],
};
