import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { ScriptWorld } from './script-world.ts';

/**
 * Scripts in `testdata/`: a title after `# `, commands, and indented below each what follows from it. A blank line and a
 * title begin a new world. With REWRITE=1 the files are written anew, for a reader to judge by their diff.
 */
const directory = new URL('./testdata/', import.meta.url);

for (const file of readdirSync(directory).sort()) {
  const text = readFileSync(new URL(file, directory), 'utf8');
  const chapters = text.split(/^(?=# )/m).filter((chapter) => chapter.trim() !== '');
  if (process.env.REWRITE === '1') {
    writeFileSync(new URL(file, directory), `${chapters.map(replay).join('\n\n')}\n`);
  }
  describe(file, () => {
    for (const chapter of chapters) {
      const title = chapter.slice(2, chapter.indexOf('\n'));
      test(title, () => expect(replay(chapter)).toBe(chapter.trimEnd()));
    }
  });
}

function replay(chapter: string): string {
  const world = new ScriptWorld();
  const lines: string[] = [];
  for (const line of chapter.trimEnd().split('\n')) {
    if (line.startsWith('  ')) continue;
    lines.push(line);
    if (line.startsWith('#') || line.trim() === '') continue;
    world.run(line);
    for (const followed of world.take()) lines.push(`  ${followed}`);
  }
  return lines.join('\n');
}
