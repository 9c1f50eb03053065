import type { HealthReport } from '@sluice/telemetry/health';

/** Answered from memory: a probe that went and looked would hang with the thing it looks at. */
export interface HealthSource {
  live(): HealthReport;
  ready(): HealthReport;
}

/** The body of an answer about health. */
export function healthView({ ok, checks }: HealthReport): Record<string, unknown> {
  return {
    status: ok ? 'ok' : 'failing',
    checks: checks.map((check) => ({
      name: check.name,
      ok: check.ok,
      reason: check.reason,
      since: new Date(check.sinceMs).toISOString(),
    })),
  };
}
