import { type ApiKeyRecord, parseApiKeyFile } from '@sluice/api/auth/api-key-file';
import type { ConfigProblem, Layer } from './layer.ts';
import { readNamedFile } from './named-file.ts';
import type { WrittenConfig } from './schema.ts';

/** The file of API keys, if one is named; it changes while the node runs. */
export class ApiKeyFiles {
  readonly paths: readonly string[];
  readonly #origin: string;
  readonly #readFile: (path: string) => string;

  constructor({ api }: WrittenConfig, settings: Layer, readFile: (path: string) => string) {
    this.paths = api.keysFile === undefined ? [] : [api.keysFile];
    this.#origin = settings.get(KEY)?.origin ?? '';
    this.#readFile = readFile;
  }

  read(): { ok: true; content: readonly ApiKeyRecord[] } | { ok: false; problems: ConfigProblem[] } {
    const problems: ConfigProblem[] = [];
    const content = this.paths.flatMap((path) => this.#keysOf(path, problems));
    return problems.length === 0 ? { ok: true, content } : { ok: false, problems };
  }

  #keysOf(path: string, problems: ConfigProblem[]): readonly ApiKeyRecord[] {
    const text = readNamedFile(this.#readFile, path, KEY, this.#origin, problems);
    if (text === undefined) return [];
    const parsed = parseApiKeyFile(text);
    if (!parsed.ok) {
      for (const { line, message } of parsed.problems) {
        problems.push({
          key: KEY,
          origin: `${path}:${line}`,
          message: `= "${path}": line ${line} ${message}`,
          hint: '',
        });
      }
      return [];
    }
    if (parsed.keys.length === 0) {
      problems.push({
        key: KEY,
        origin: path,
        message: 'names a file without a single key',
        hint: 'Add a line key:secret, or remove the setting',
      });
    }
    return parsed.keys;
  }
}

const KEY = 'api.keysFile';
