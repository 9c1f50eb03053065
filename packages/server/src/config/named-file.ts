import type { ConfigProblem } from './layer.ts';

/** Undefined, and a problem more, when there is no such file for this user. */
export function readNamedFile(
  readFile: (path: string) => string,
  path: string,
  key: string,
  origin: string,
  problems: ConfigProblem[],
): string | undefined {
  try {
    return readFile(path);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const reason =
      code === 'ENOENT'
        ? 'does not exist'
        : code === 'EACCES'
          ? 'may not be read by this user'
          : `cannot be read (${String(code ?? error)})`;
    problems.push({
      key,
      origin,
      message: key === '' ? `the configuration file "${path}" ${reason}` : `= "${path}" ${reason}`,
      hint: '',
    });
    return undefined;
  }
}
