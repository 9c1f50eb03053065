import type { Citation } from './citations.ts';
import { SPECIFICATIONS, type Statement } from './statements.ts';

/** What becomes of a statement. A citation wins over everything else. */
export type Standing = 'proved' | 'cannot' | 'open' | 'missing';

export function standingOf(statement: Statement, citations: readonly Citation[]): Standing {
  // A test that is left out may cite what is still open.
  if (statement.open !== undefined) return 'open';
  if (citationsFor(statement, citations).length > 0) return 'proved';
  return statement.cannot === undefined ? 'missing' : 'cannot';
}

function citationsFor(statement: Statement, citations: readonly Citation[]): Citation[] {
  return citations.filter(
    ({ specification, label }) => specification === statement.specification && label === statement.label,
  );
}

/** README.md of test/conformance. */
export function tableOf(statements: readonly Statement[], citations: readonly Citation[]): string {
  const lines = [INTRODUCTION, '', '| | statements | proved | no broker can prove | open |', '|---|---|---|---|---|'];
  for (const specification of SPECIFICATIONS) {
    const own = statements.filter((statement) => statement.specification === specification);
    const count = (standing: Standing): number =>
      own.filter((statement) => standingOf(statement, citations) === standing).length;
    lines.push(
      `| MQTT ${specification} | ${own.length} | ${count('proved')} | ${count('cannot')} | ${count('open')} |`,
    );
  }
  for (const specification of SPECIFICATIONS) {
    lines.push(
      '',
      `## MQTT ${specification}`,
      '',
      '| statement | whose | in our words | proved by |',
      '|---|---|---|---|',
    );
    for (const statement of statements) {
      if (statement.specification !== specification) continue;
      const { label, duty, text } = statement;
      lines.push(
        `| ${label.slice('MQTT-'.length)} | ${duty} | ${escaped(text)} | ${escaped(proofOf(statement, citations))} |`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function proofOf(statement: Statement, citations: readonly Citation[]): string {
  if (statement.open !== undefined) return `open: ${statement.open}`;
  const own = citationsFor(statement, citations);
  if (own.length === 0) return `none can: ${statement.cannot ?? ''}`;
  return own.map(({ file, test }) => `${file.replace(/^test\/conformance\//, '')}: ${test}`).join('<br>');
}

const escaped = (text: string): string => text.replaceAll('|', '\\|');

const INTRODUCTION = `# Conformance

Every numbered statement of MQTT 5.0 and 3.1.1 with the test that proves it. **Generated** by \`node
test/harness/run-typescript.mjs test/conformance/write-table.ts\` from \`mqtt-5.0.txt\`, \`mqtt-3.1.1.txt\` and the names of the tests,
which cite; \`table.test.ts\` fails when a statement has no test, when a test cites a statement that does not exist, when
more are open than before, or when this file is out of date.

A client's duty is proved by what happens to a client that fails it, or by a client that keeps it being served. What no
broker can prove says why. The statements are retold in our words; the texts are those of OASIS. The numbers were compared with
the conformance appendices and the numbered sentences of both documents: 251 in MQTT 5.0, whose 2.2.1-1 does not exist, and
141 in MQTT 3.1.1, two of which are misprinted there (3.1.2.7 and 3-8.3-4).

\`suite.test.ts\` runs the cases against the built broker, packet by packet, every answer read by a second codec as well.
\`SLUICE_E2E=cluster\` makes it three nodes, where each client is sent to a gateway by chance; \`SLUICE_TRANSPORT\` of
\`ws\`, \`tls\` or \`wss\` lets all clients speak that.`;
