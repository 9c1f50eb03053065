import type { Finding } from './finding.ts';
import { separate } from './source-code.ts';
import { lineAt, type SourceTree } from './source-tree.ts';

interface BannedWord {
  pattern: RegExp;
  message: string;
  /** Where it is looked for. */
  paths: RegExp;
  /** Where it is allowed. */
  except?: RegExp;
  /** All of a file, or only what is code or comment in it. */
  within: 'text' | 'code' | 'comments';
}

const CODE_FILES = /\.(ts|tsx|mjs|cjs|js)$/;
const ANY_FILE = /./;
/** This rule and its test have to name what they look for. */
const RULE_ITSELF = /^packages\/tidy\/(src\/banned-words|test\/house-rules-planted)/;

const BANNED: readonly BannedWord[] = [
  {
    pattern: /\b(TODO|FIXME|XXX)\b/g,
    message: 'do it, or write down in DESIGN.md why not',
    paths: /\.(ts|tsx|mjs|cjs|js|py|sh|md|ya?ml|html|css)$/,
    within: 'text',
  },
  {
    pattern: /\bas any\b|[:<|&]\s*any\b|\bany\[\]/g,
    message: 'unknown, or the real type',
    // Tests are held to it by the linter, which lets one say why not.
    paths: /^packages\/[^/]+\/src\/.*\.tsx?$/,
    within: 'code',
  },
  {
    pattern: /@ts-(ignore|nocheck)/g,
    message: 'the compiler is right, or the types are wrong: say which',
    paths: /\.tsx?$/,
    within: 'comments',
  },
  {
    pattern: /\bexport default\b/g,
    message: 'named exports only',
    paths: CODE_FILES,
    except: /\.config\.m?[jt]s$|^test\/.*-(reporter|sequencer)\.mjs$/,
    within: 'code',
  },
  {
    pattern: /\bconsole\.(log|info|warn|error|debug)\b/g,
    message: 'log through the Logger; only commands print',
    paths: /^packages\/[^/]+\/src\//,
    except: /^packages\/(admin|server|sim)\/src\/(cli|bin|command|.*-command)/,
    within: 'code',
  },
  {
    pattern: /\/(work|root)\/[a-z.]+|\/home\/[a-z]+\//g,
    message: 'a path of one machine',
    paths: ANY_FILE,
    within: 'text',
  },
  {
    pattern: /\bregistry\.(npmjs\.org|yarnpkg\.com|npmmirror\.com)\b|\bnpm\.pkg\.github\.com\b/g,
    message: 'the registry is the reader’s choice',
    paths: ANY_FILE,
    within: 'text',
  },
  {
    pattern: /"resolved": "https?:|^registry\s*=/gm,
    message: 'the registry is the reader’s choice',
    paths: /(^|\/)(package-lock\.json|\.npmrc)$/,
    within: 'text',
  },
];

const UTILS = /(^|\/)(utils?|helpers?|misc)(\.[a-z]+$|\/)/;

export function checkBannedWords(tree: SourceTree): Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of tree) {
    if (RULE_ITSELF.test(path)) continue;
    if (UTILS.test(path)) findings.push({ path, line: 0, message: 'name it after what it is about' });
    const separated = CODE_FILES.test(path) ? separate(text) : { code: text, comments: text };
    for (const { pattern, message, paths, except, within } of BANNED) {
      if (!paths.test(path) || except?.test(path)) continue;
      const searched = within === 'text' ? text : separated[within];
      for (const match of searched.matchAll(pattern)) {
        findings.push({ path, line: lineAt(text, match.index), message: `${match[0].trim()}: ${message}` });
      }
    }
  }
  return findings;
}
