/** What scripts may rely on. `unwell`: the command did what it should, and what it shows is not well. */
export const EXIT = { ok: 0, failure: 1, usage: 2, notFound: 3, unauthorised: 4, unreachable: 5, unwell: 6 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message, a way out and an exit code that tells the kinds apart. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure';
  readonly exitCode: ExitCode;
  readonly hint: string;
  /** Whether the same may succeed in a moment: nobody answered, or the server is not there yet. */
  readonly mayPass: boolean;

  constructor(exitCode: ExitCode, message: string, hint = '', mayPass = exitCode === EXIT.unreachable) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
    this.mayPass = mayPass;
  }
}
