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
  // Each suite leaves the modules it loaded in its process, some 4 MB that nothing collects, and whatever is collected
  // besides takes longer for it: after 150 suites a simulated history took 21.8 s of processor time, in a new process 9.4 s.
  workerIdleMemoryLimit: '200MB',
  testSequencer: '<rootDir>/test/harness/long-first-sequencer.mjs',
  reporters: ['default', '<rootDir>/test/harness/left-out-reporter.mjs'],
};
