import { dirname, normalize } from 'node:path/posix';
import type { Finding } from './finding.ts';
import { lineAt, type SourceTree } from './source-tree.ts';

/**
 * What documents point to is there: files and folders by relative links, headings by what follows `#`, and the scripts
 * they tell people to type; and the modules that the walks through the packages pass by. Addresses elsewhere are not looked
 * at: a test that needs the network fails for nothing. Decisions name what there was when they were made.
 */
export function checkDeadLinks(tree: SourceTree): Finding[] {
  const findings: Finding[] = [];
  const folders = foldersOf(tree);
  const scripts = scriptsOf(tree);
  for (const [path, text] of tree) {
    if (!path.endsWith('.md')) continue;
    const report = (index: number, message: string): void => {
      findings.push({ path, line: lineAt(text, index), message });
    };
    for (const { index, 1: link = '' } of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [file = '', heading] = link.split('#');
      const target = file === '' ? path : normalize(`${dirname(path)}/${file}`).replace(/\/$/, '');
      if (!tree.has(target) && !folders.has(target)) report(index, `${link} is not there`);
      else if (heading !== undefined && !headingsOf(tree.get(target) ?? '').has(heading)) {
        report(index, `${link}: there is no such heading`);
      }
    }
    if (path === WALKS) {
      for (const { index, 1: name = '', 2: rest = '' } of text.matchAll(/`([a-z-]+)\/([a-z/-]+)`/g)) {
        const module = `packages/${name}/src/${rest}`;
        if (folders.has(`packages/${name}/src`) && !tree.has(`${module}.ts`) && !folders.has(module)) {
          report(index, `${name}/${rest}: there is no such module`);
        }
      }
    }
    for (const { index, 1: script = '' } of text.matchAll(/\bnpm run ([a-z][a-z0-9:-]*)/g)) {
      if (!scripts.has(script)) report(index, `npm run ${script}: there is no such script`);
    }
  }
  return findings;
}

/** How a message goes: a package, and a module or a folder of its sources. */
const WALKS = 'packages/README.md';

function foldersOf(tree: SourceTree): ReadonlySet<string> {
  const folders = new Set(['.']);
  for (const path of tree.keys()) {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder);
  }
  return folders;
}

/** Of the root and of all packages: documents of a package may speak of its own. */
function scriptsOf(tree: SourceTree): ReadonlySet<string> {
  const scripts = new Set<string>();
  for (const [path, text] of tree) {
    if (!/(^|\/)package\.json$/.test(path)) continue;
    const { scripts: own = {} } = JSON.parse(text) as { scripts?: Record<string, string> };
    for (const name of Object.keys(own)) scripts.add(name);
  }
  return scripts;
}

/** As they are called in addresses: small letters, digits, `-` for each space, nothing else. */
function headingsOf(text: string): ReadonlySet<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading.trim().toLowerCase());
  return new Set(headings.map((heading) => heading.replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')));
}
