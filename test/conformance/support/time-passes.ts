/**
 * For what time itself does, and nothing else shows: MQTT counts expiry in whole seconds by the broker's own clock, and what
 * never happens is not to be waited for.
 */
export function timePasses(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
