import { parseDuration } from '@sluice/common/human-duration';
import { CliFailure, EXIT } from './cli-failure.ts';
import type { CliHost } from './cli-host.ts';

const ASK_AGAIN_MS = 500;

/** Of `--wait`. @throws CliFailure when it is no duration. */
export function waitMsOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const parsed = parseDuration(text);
  if (parsed.ok) return parsed.ms;
  throw new CliFailure(EXIT.usage, `--wait ${JSON.stringify(text)} ${parsed.message}`);
}

/**
 * Asks until the answer is what one waits for, or the time is over: then the last one is the answer, whatever it is. What
 * may pass by itself counts as an answer that will not do: a script starts beside the server it is for.
 */
export async function patiently<T>(
  host: CliHost,
  waitMs: number,
  ask: () => Promise<T>,
  isEnough: (answer: T) => boolean = () => true,
): Promise<T> {
  const untilMs = host.nowMs() + waitMs;
  for (;;) {
    const isLast = host.nowMs() >= untilMs;
    try {
      const answer = await ask();
      if (isLast || isEnough(answer)) return answer;
    } catch (error) {
      if (isLast || !(error instanceof CliFailure && error.mayPass)) throw error;
    }
    await host.pause(ASK_AGAIN_MS);
  }
}
