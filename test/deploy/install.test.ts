import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const ROOT = join(import.meta.dirname, '../..');
const lines = (path: string) => readFileSync(join(ROOT, path), 'utf8').split('\n');

/*
 * RocksDB's package tries its binary when it is installed, and compiles where that does not load. From Node.js 22 on it does not
 * (Sluice loads it apart), so `npm ci` took half an hour, or failed: in the image too, whose base has no compiler.
 */
describe('npm ci', () => {
  it('runs no script of a package: those that have one are known to work without', () => {
    expect(lines('.npmrc')).toContain('ignore-scripts=true');
    const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean }>;
    };
    const scripted = Object.keys(packages).filter((path) => packages[path]?.hasInstallScript);
    expect(scripted.map((path) => path.replace('node_modules/', ''))).toEqual([
      '@parcel/watcher',
      '@swc/core',
      'protobufjs',
      'rocksdb',
    ]);
  });

  it('reads that in the image as well', () => {
    expect(lines('.dockerignore').filter((line) => /npmrc/.test(line))).toEqual([]);
    const steps = lines('deploy/Dockerfile');
    expect(steps.indexOf('COPY . .')).toBeLessThan(steps.findIndex((step) => step.startsWith('RUN npm ci')));
    expect(steps.indexOf('COPY . .')).toBeGreaterThan(0);
  });
});

/*
 * npm hands a signal to the shell that runs the script, and a shell that waits for a command ends without it: the broker
 * went on, with its ports and its data, after `npm start` was stopped by anything but Ctrl-C.
 */
describe('npm start, npm run cluster', () => {
  it.each(['start', 'cluster'])(
    '%s: what runs takes the place of its shell, so that a signal for npm reaches it',
    (name) => {
      const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
        scripts: Record<string, string>;
      };
      expect(scripts[name]?.split('&&').at(-1)).toMatch(/^ exec node /);
    },
  );
});
