import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCitations } from './support/citations.ts';
import { readStatements, SPECIFICATIONS } from './support/statements.ts';
import { tableOf } from './support/table.ts';

/** Writes README.md anew: run it when a statement or the name of a test has changed. */
const statements = SPECIFICATIONS.flatMap(readStatements);
writeFileSync(join(import.meta.dirname, 'README.md'), tableOf(statements, readCitations()));
