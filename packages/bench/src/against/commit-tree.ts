import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';

/** What links to the packages of a tree. */
const OWN_SCOPE = '@sluice';
const BUILD_MS_MAX = 600_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * A commit of this repository, checked out beside it and built by its own build script. What others have written is not
 * installed again: the tree uses the modules that are installed here, and its own packages.
 */
export class CommitTree {
  readonly path: string;
  readonly #repository: string;

  private constructor(repository: string, path: string) {
    this.#repository = repository;
    this.path = path;
  }

  /** `path` does not exist yet. */
  static checkOut(repository: string, commit: string, path: string): CommitTree {
    git(repository, 'worktree', 'add', '--detach', '--force', path, commit);
    const tree = new CommitTree(repository, path);
    tree.#linkModules();
    return tree;
  }

  /** Hash and first line. */
  get title(): string {
    return titleOf(this.path);
  }

  /** It would install other modules than those that are here, so part of a difference may be theirs. */
  get hasOtherModules(): boolean {
    const [ours, its] = [this.#repository, this.path].map((root) => readFileSync(join(root, 'package-lock.json')));
    return !(ours as Buffer).equals(its as Buffer);
  }

  /** @throws SluiceError with the end of what the compiler said */
  build(): void {
    try {
      run('npm', ['run', '--silent', 'build'], join(this.path, 'packages/server'));
    } catch (cause) {
      const { stdout, stderr } = cause as { stdout?: string; stderr?: string };
      const said = `${stdout ?? ''}${stderr ?? ''}`.slice(-2_000);
      throw new SluiceError('BENCH_NOT_BUILT', `${this.title} cannot be built\n${said}`, { cause });
    }
  }

  /** Also after half a check-out; never throws. */
  remove(): void {
    try {
      git(this.#repository, 'worktree', 'remove', '--force', this.path);
    } catch {
      // What is left is in a temporary directory, and git forgets trees that are gone.
    }
  }

  #linkModules(): void {
    const from = join(this.#repository, 'node_modules');
    const into = join(this.path, 'node_modules');
    mkdirSync(join(into, OWN_SCOPE), { recursive: true });
    for (const name of readdirSync(from)) if (name !== OWN_SCOPE) symlinkSync(join(from, name), join(into, name));
    const packages = join(this.path, 'packages');
    for (const name of readdirSync(packages)) {
      if (existsSync(join(packages, name, 'package.json')))
        symlinkSync(join(packages, name), join(into, OWN_SCOPE, name));
    }
    // Out of sight of whatever the tree asks git about itself.
    writeFileSync(join(into, '.gitignore'), '*\n');
  }
}

/** Of what is checked out; `+` when files of it were changed since. */
export function titleOf(tree: string): string {
  const isChanged = git(tree, 'status', '--porcelain', '--untracked-files=no') !== '';
  return `${git(tree, 'log', '-1', '--format=%h')}${isChanged ? '+' : ''} ${git(tree, 'log', '-1', '--format=%s')}`;
}

function git(directory: string, ...args: string[]): string {
  return run('git', ['-C', directory, ...args], directory);
}

function run(program: string, args: readonly string[], directory: string): string {
  return execFileSync(program, args, {
    cwd: directory,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: BUILD_MS_MAX,
    maxBuffer: OUTPUT_BYTES_MAX,
  }).trim();
}
