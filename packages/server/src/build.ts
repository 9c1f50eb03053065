import { readFileSync } from 'node:fs';

/** Which build this is: the version of the package, and the commit when whoever built it said so. */
export const BUILD: { version: string; commit: string } = {
  version: packageVersion(),
  commit: process.env.SLUICE_BUILD_COMMIT ?? 'unknown',
};

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
