import { type Address, formatAddress, isLoopback } from './address.ts';
import { ALLOW_ANONYMOUS_FLAG } from './from-flags.ts';
import type { ConfigProblem, Layer } from './layer.ts';
import { takesTokens, toAddress } from './resolve-config.ts';
import { MQTT_LISTENERS, type WrittenConfig } from './schema.ts';

/**
 * Who may come in without credentials. A broker that is open to the network by default gets found within hours; one
 * that refuses to start on a laptop gets its check switched off for ever. So: on loopback everybody may, elsewhere
 * nobody may, and whoever wants it otherwise says so in words.
 */
export interface Exposure {
  mqttAnonymous: boolean;
  apiAnonymous: boolean;
  problems: ConfigProblem[];
  warnings: string[];
}

export function decideExposure(written: WrittenConfig, layer: Layer, users: number, keys: number): Exposure {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const speaksMqtt = written.node.roles.includes('gateway');
  const openMqtt = speaksMqtt ? MQTT_LISTENERS.filter((name) => isExposed(toAddress(written.listeners[name]))) : [];
  const openApi = isExposed(toAddress(written.listeners.http));

  const asksNobody =
    users === 0 && !written.auth.database && !takesTokens(written) && written.auth.certificateAs === 'none';
  const mqttAnonymous = written.auth.anonymous === 'auto' ? asksNobody : written.auth.anonymous;
  if (openMqtt.length > 0 && mqttAnonymous) {
    const names = openMqtt.map((name) => `listeners.${name} = ${written.listeners[name]}`).join(', ');
    if (written.auth.anonymous === true)
      warnings.push(`anyone who reaches ${names} may publish and subscribe (auth.anonymous is true)`);
    else {
      problems.push({
        key: `listeners.${openMqtt[0]}`,
        origin: layer.get(`listeners.${openMqtt[0]}`)?.origin ?? '',
        message: `= ${JSON.stringify(written.listeners[openMqtt[0] as 'mqtt'])} is reachable from other machines, but no MQTT user is configured`,
        hint: `Configure auth.users, auth.passwordFile or auth.database, bind to 127.0.0.1, or allow access without credentials with auth.anonymous: true (${ALLOW_ANONYMOUS_FLAG})`,
      });
    }
  }
  if (speaksMqtt && !mqttAnonymous && asksNobody) {
    warnings.push('no MQTT client can connect: auth.anonymous is false and no user is configured');
  }

  const apiAnonymous = written.api.anonymous === 'auto' ? keys === 0 : written.api.anonymous;
  const http = written.listeners.http;
  if (openApi && apiAnonymous) {
    if (written.api.anonymous === true)
      warnings.push(`anyone who reaches listeners.http = ${http} may administer this broker (api.anonymous is true)`);
    else {
      problems.push({
        key: 'listeners.http',
        origin: layer.get('listeners.http')?.origin ?? '',
        message: `= ${JSON.stringify(http)} is reachable from other machines, but no API key is configured`,
        hint: `Name a file of keys in api.keysFile (--api-keys), bind to 127.0.0.1, or allow access without a key with api.anonymous: true (${ALLOW_ANONYMOUS_FLAG})`,
      });
    }
  }
  if (!apiAnonymous && keys === 0 && toAddress(http) !== null) {
    warnings.push('no REST call can be made: api.anonymous is false and no API key is configured');
  }
  return { mqttAnonymous, apiAnonymous, problems, warnings };
}

function isExposed(address: Address | null): boolean {
  return address !== null && !isLoopback(address.host);
}

/** Two listeners on one address would fail at the bind, with a message that names neither. */
export function findAddressClashes(written: WrittenConfig, layer: Layer): ConfigProblem[] {
  const taken = new Map<string, string>();
  const problems: ConfigProblem[] = [];
  for (const [name, text] of Object.entries(written.listeners)) {
    const address = toAddress(text);
    if (address === null || address.port === 0) continue;
    const at = formatAddress(address);
    const other = taken.get(at);
    if (other === undefined) taken.set(at, name);
    else {
      const key = `listeners.${name}`;
      problems.push({
        key,
        origin: layer.get(key)?.origin ?? '',
        message: `= "${text}" is taken by listeners.${other}`,
        hint: 'Give each listener a port of its own, or none',
      });
    }
  }
  return problems;
}
