import { writeFileSync } from 'node:fs';

/** Writes what failed where SLUICE_PLANTED_REPORT says. Jest's own report is not written by a run that ends early. */
export default class ReportReporter {
  onRunComplete(_contexts, { numTotalTests, testResults }) {
    const files = testResults.map(({ failureMessage, testResults: tests }) => ({
      message: failureMessage ?? '',
      tests: tests.map(({ status, fullName, failureMessages }) => ({ status, fullName, failureMessages })),
    }));
    writeFileSync(process.env.SLUICE_PLANTED_REPORT, JSON.stringify({ numTotalTests, files }));
  }
}
