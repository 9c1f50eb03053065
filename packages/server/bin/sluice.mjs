#!/usr/bin/env node
// The `sluice` command exists before the build does, because npm links it when it installs.
import { existsSync } from 'node:fs';

const built = new URL('../dist/bin.js', import.meta.url);
if (!existsSync(built)) {
  process.stderr.write('sluice: not built yet\n  run: npm run build\n');
  process.exit(1);
}
await import(built.href);
