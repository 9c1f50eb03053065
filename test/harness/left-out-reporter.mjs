import { writeSync } from 'node:fs';

const STDOUT = 1;
/** How `left-out.ts` marks a test whose tool is missing, in the test's own name: nothing else crosses from a worker. */
const LEFT_OUT = / \[left out: (.*)\]$/;

/**
 * Ends a run with what a reader, or a script, wants to know first: one plain line of counts. Before it, the tests that
 * did not run because this machine lacks a tool, by tool, with how to get it.
 */
export default class LeftOutReporter {
  onRunComplete(_contexts, results) {
    const byReason = new Map();
    for (const file of results.testResults) {
      for (const test of file.testResults) {
        const reason = test.status === 'passed' ? undefined : LEFT_OUT.exec(test.title)?.[1];
        if (reason !== undefined) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
      }
    }
    let text = '\n';
    for (const [reason, count] of byReason) text += `left out: ${count} ${count === 1 ? 'test' : 'tests'}: ${reason}\n`;
    // A file that does not even load has no tests, and must not look like success.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    text += `${results.numPassedTests} passed, ${failed} failed, ${skipped} skipped\n`;
    // Jest prints its own summary after every other reporter; only the end of the process comes later.
    process.once('exit', () => writeSync(STDOUT, text));
  }
}
