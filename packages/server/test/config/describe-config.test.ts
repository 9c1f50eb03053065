import { describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { describeConfig, sampleConfig } from '../../src/config/describe-config.ts';
import { addServerFlags, type ServerFlags } from '../../src/config/from-flags.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { SETTINGS } from '../../src/config/settings.ts';

const load = (flags: ServerFlags, files: Record<string, string> = {}) => {
  const result = loadConfig({ flags, env: {}, readFile: (path) => files[path] ?? '' });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result;
};

describe('the printed configuration', () => {
  it('says where each value came from and hides secrets', () => {
    const users = '[{"username":"u","password":"hunter2"}]';
    const text = describeConfig(load({ mqtt: '127.0.0.1:2883', set: [`auth.users=${users}`] }).settings);
    expect(text).toMatch(/^ {2}mqtt: 127\.0\.0\.1:2883 +# flag --mqtt$/m);
    expect(text).toMatch(/^ {2}level: info +# default$/m);
    expect(text).toMatch(/^ {2}# keysFile: +# not set$/m);
    expect(text).toContain('(1 hidden)');
    expect(text).not.toContain('hunter2');
  });

  it('read back gives the same configuration', () => {
    const first = load({ http: 'none', set: ['mqtt.connectTimeout=3s', 'queues.readCache=0'] });
    const second = load({ config: 'printed.yaml' }, { 'printed.yaml': describeConfig(first.settings) });
    expect(second.config).toEqual(first.config);
  });

  it('the sample gives the defaults, and every setting says what it is and why', () => {
    expect(load({ config: 's' }, { s: sampleConfig() }).config).toEqual(load({}).config);
    for (const { key, rule } of SETTINGS)
      expect([key, rule.about.length > 10, rule.why.length > 10]).toEqual([key, true, true]);
  });
});

it('the command line knows every flag of the manual', () => {
  const command = addServerFlags(new Command('server')).exitOverride();
  command.parse(
    [
      '--config',
      'c',
      '--roles',
      'store',
      '--data',
      'd',
      '--mqtt',
      'none',
      '--mqtts',
      'none',
      '--ws',
      'none',
      '--wss',
      'none',
      '--http',
      'none',
    ].concat([
      '--grpc',
      '127.0.0.1:7000',
      '--api-keys',
      'k',
      '--join',
      'a:1',
      '--log-level',
      'warn',
      '--allow-anonymous',
      '--set',
      'a.b=1',
      '--set',
      'c.d=2',
    ]),
    { from: 'user' },
  );
  expect(command.opts()).toEqual({
    config: 'c',
    roles: 'store',
    data: 'd',
    mqtt: 'none',
    mqtts: 'none',
    ws: 'none',
    wss: 'none',
    http: 'none',
    grpc: '127.0.0.1:7000',
    apiKeys: 'k',
    join: 'a:1',
    logLevel: 'warn',
    allowAnonymous: true,
    set: ['a.b=1', 'c.d=2'],
  });
});
