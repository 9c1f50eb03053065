/** What a look at one thing found. `note`: nothing is wrong, and it is worth knowing. */
export interface Finding {
  readonly severity: 'ok' | 'note' | 'warning' | 'failure';
  /** A word or two: what was looked at. */
  readonly about: string;
  readonly message: string;
  /** What to do; empty where there is nothing to do. */
  readonly hint: string;
}

export function ok(about: string, message: string): Finding {
  return { severity: 'ok', about, message, hint: '' };
}

export function note(about: string, message: string, hint = ''): Finding {
  return { severity: 'note', about, message, hint };
}

export function warning(about: string, message: string, hint: string): Finding {
  return { severity: 'warning', about, message, hint };
}

export function failure(about: string, message: string, hint: string): Finding {
  return { severity: 'failure', about, message, hint };
}
