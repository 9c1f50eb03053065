import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type ConfigSources, loadConfig } from '@sluice/server/config/load-config';
import { parse } from 'yaml';

const DEPLOY = join(import.meta.dirname, '../../deploy');
const read = (path: string) => parse(readFileSync(join(DEPLOY, path), 'utf8'), { merge: true });

interface Service {
  command?: string[];
  environment?: Record<string, string>;
  hostname?: string;
  ports?: string[];
  volumes?: string[];
}

const { services, volumes } = read('docker-compose.yml') as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const nodes = Object.entries(services).filter(([name]) => name.startsWith('node-'));
const flags = {} as ConfigSources['flags'];
const readFile = (path: string): string => {
  throw new Error(`${path} is not in the image`);
};

describe('docker-compose.yml', () => {
  it('tells three nodes what they take, the same list to all, each under its own name', () => {
    expect(nodes).toHaveLength(3);
    for (const [name, { environment = {}, hostname }] of nodes) {
      const loaded = loadConfig({ flags, env: environment, readFile });
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      const { node } = loaded.config;
      expect([hostname, node.name, node.advertise]).toEqual([name, name, { host: name, port: 5370 }]);
      expect(node.join.map(({ host }) => host)).toEqual(nodes.map(([other]) => other));
    }
  });

  it('is open to this machine only', () => {
    for (const { ports = [] } of Object.values(services))
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('mounts what there is', () => {
    for (const { volumes: mounted = [] } of Object.values(services)) {
      for (const mount of mounted) {
        const [from = ''] = mount.split(':');
        expect([from, from.startsWith('./') ? existsSync(join(DEPLOY, from)) : from in volumes]).toEqual([from, true]);
      }
    }
  });

  it('scrapes every node, and its clients play parts that there are', () => {
    const [{ static_configs: targets }] = read('prometheus/compose.yaml').scrape_configs;
    expect(targets[0].targets).toEqual(nodes.map(([name]) => `${name}:18083`));
    const clients = readFileSync(join(DEPLOY, 'demo-clients.mjs'), 'utf8');
    const parts = Object.values(services).flatMap(({ environment, command = [] }) =>
      environment?.SLUICE_MQTT ? command : [],
    );
    expect(parts.sort()).toEqual(['commands', 'device', 'jobs', 'sluggish', 'worker']);
    for (const part of parts) expect(clients).toContain(`  ${part}: () =>`);
  });
});
