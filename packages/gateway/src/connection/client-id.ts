import { randomBytes } from 'node:crypto';

/** For clients that leave it to the server [MQTT-3.1.3-6]: unique over all gateways without asking anybody. */
export function assignClientId(): string {
  return `auto-${randomBytes(12).toString('hex')}`;
}
