import { describe, expect, it } from '@jest/globals';
import type { ServerFlags } from '../../src/config/from-flags.ts';
import { formatProblem } from '../../src/config/layer.ts';
import { type LoadedConfig, loadConfig } from '../../src/config/load-config.ts';

interface Given {
  flags?: ServerFlags;
  env?: Record<string, string>;
  files?: Record<string, string>;
}

function load({ flags = {}, env = {}, files = {} }: Given = {}): LoadedConfig {
  const table = new Map(Object.entries(files));
  return loadConfig({
    flags,
    env,
    readFile: (path) => {
      const text = table.get(path);
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return text;
    },
  });
}

function loaded(given: Given = {}) {
  const result = load(given);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result;
}

function problemsOf(given: Given): string[] {
  const result = load(given);
  return result.ok ? [] : result.problems.map(formatProblem);
}

const yaml = (text: string): Given => ({ flags: { config: 'sluice.yaml' }, files: { 'sluice.yaml': text } });

describe('without anything given', () => {
  it('is a complete broker on loopback', () => {
    const { config, warnings } = loaded();
    expect(config).toMatchObject({
      node: { dataDirectory: './data', join: [], drainTimeoutMs: 25_000 },
      listeners: {
        mqtt: { host: '127.0.0.1', port: 1883 },
        mqtts: null,
        ws: { host: '127.0.0.1', port: 8083 },
        wss: null,
        http: { host: '127.0.0.1', port: 18_083 },
        grpc: null,
      },
      mqtt: { maximumPacketBytes: 10_485_760, connectTimeoutMs: 10_000 },
      auth: { anonymous: true, users: [] },
      api: { anonymous: true, keys: [] },
      queues: { countMax: 200_000, partitionCount: 16 },
      storage: { sync: true, segmentBytes: 67_108_864, logVerify: 'tail' },
      log: { level: 'info', format: 'json' },
    });
    expect([...config.node.roles]).toEqual(['gateway', 'store', 'coordinator']);
    expect(warnings).toEqual([]);
  });
});

describe('where a value comes from', () => {
  const file = 'log:\n  level: debug\n  format: text\n\nstorage:\n  segmentSize: 128MB\nmqtt:\n';

  it('the command line wins over the environment, that over the file, that over the default', () => {
    const { config, settings } = loaded({
      flags: { config: 'a.yaml', logLevel: 'error', set: ['mqtt.receiveMaximum=7'] },
      env: {
        SLUICE_LOG__LEVEL: 'warn',
        SLUICE_STORAGE__SEGMENT_SIZE: '32MB',
        SLUICE_NODE__ROLES: 'gateway, store',
        SLUICE_NODE__JOIN: 'c:5370',
        SLUICE_LISTENERS__GRPC: '127.0.0.1:5370',
      },
      files: { 'a.yaml': file },
    });
    expect(config.log).toEqual({ level: 'error', format: 'text' });
    expect(config.storage.segmentBytes).toBe(33_554_432);
    expect(config.mqtt.receiveMaximum).toBe(7);
    expect([...config.node.roles]).toEqual(['gateway', 'store']);
    expect(
      ['log.level', 'log.format', 'storage.segmentSize', 'mqtt.receiveMaximum', 'queues.partitions'].map(
        (key) => settings.get(key)?.origin,
      ),
    ).toEqual([
      'flag --log-level',
      'a.yaml:3',
      'environment variable SLUICE_STORAGE__SEGMENT_SIZE',
      'flag --set mqtt.receiveMaximum',
      'default',
    ]);
  });

  it('finds the file through SLUICE_CONFIG', () => {
    expect(loaded({ env: { SLUICE_CONFIG: 'b.yaml' }, files: { 'b.yaml': file } }).config.log.level).toBe('debug');
  });

  it('takes an empty file, an empty section and an empty variable for nothing said', () => {
    expect(loaded(yaml('')).ok).toBe(true);
    expect(loaded(yaml('mqtt:\n# nothing yet\n')).ok).toBe(true);
    expect(loaded({ env: { SLUICE_LOG__LEVEL: '' } }).config.log.level).toBe('info');
  });

  it('leaves alone the variables Kubernetes sets for a service called sluice', () => {
    expect(
      load({
        env: {
          SLUICE_PORT: 'tcp://10.0.0.1:1883',
          SLUICE_SERVICE_HOST: '10.0.0.1',
          SLUICE_URL: 'x',
          SLUICE_API_KEY: 'a:b',
        },
      }).ok,
    ).toBe(true);
  });

  it('reads lists and users from a variable', () => {
    const { config } = loaded({
      env: {
        SLUICE_AUTH__USERS: '[{"username":"u","password":"p"}]',
        SLUICE_NODE__JOIN: 'a:1,b:2',
        SLUICE_LISTENERS__GRPC: '127.0.0.1:5370',
      },
    });
    expect(config.auth).toMatchObject({ anonymous: false, users: [{ username: 'u', secret: { plain: 'p' } }] });
    expect(config.node.join).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ]);
  });
});

describe('a wrong value is named with its key, its value, its origin and what is allowed', () => {
  it.each<[string, Given, string]>([
    [
      'size',
      yaml('mqtt:\n  maximumPacketSize: 10XB\n'),
      'mqtt.maximumPacketSize = "10XB" must be a number of bytes, or one with a unit (KB, MB, GB, TB; powers of 1024), for example "512KB" or "100MB" (sluice.yaml:2)',
    ],
    [
      'size range',
      yaml('mqtt:\n  maximumPacketSize: 1GB'),
      'mqtt.maximumPacketSize = "1GB" must be between 1KB and 100MB (sluice.yaml:2)',
    ],
    [
      'duration without unit',
      yaml('log:\n  level: info\nmqtt:\n  connectTimeout: 30'),
      'mqtt.connectTimeout = 30 has no unit: write "30ms" or "30s" (sluice.yaml:4)',
    ],
    [
      'duration of another type',
      yaml('mqtt:\n  connectTimeout: true'),
      'mqtt.connectTimeout = true must be a number with a unit',
    ],
    [
      'duration range',
      { env: { SLUICE_MQTT__CONNECT_TIMEOUT: '5h' } },
      'mqtt.connectTimeout = "5h" must be between 100ms and 1h (environment variable SLUICE_MQTT__CONNECT_TIMEOUT)',
    ],
    [
      'integer',
      { env: { SLUICE_MQTT__RECEIVE_MAXIMUM: 'many' } },
      'mqtt.receiveMaximum = "many" must be a whole number between 1 and 65535 (environment variable SLUICE_MQTT__RECEIVE_MAXIMUM)',
    ],
    [
      'integer range',
      { flags: { set: ['queues.partitions=0'] } },
      'queues.partitions = 0 must be between 1 and 4096 (flag --set queues.partitions)',
    ],
    ['fraction', yaml('queues:\n  partitions: 1.5'), 'queues.partitions = 1.5 must be a whole number'],
    ['boolean', yaml('storage:\n  sync: "yes"'), 'storage.sync = "yes" must be true or false (sluice.yaml:2)'],
    [
      'choice',
      { flags: { logLevel: 'loud' } },
      'log.level = "loud" must be debug, info, warn or error (flag --log-level)',
    ],
    [
      'roles',
      { flags: { roles: 'gateway,stroe' } },
      'node.roles = ["gateway","stroe"] contains "stroe": each item must be gateway, store or coordinator (flag --roles)',
    ],
    [
      'no roles',
      { flags: { roles: ',' } },
      'node.roles = [] must be a list with at least one of gateway, store, coordinator (flag --roles)',
    ],
    ['roles twice', { flags: { roles: 'store,store' } }, 'names an item twice'],
    [
      'address',
      { flags: { mqtt: '1883' } },
      'listeners.mqtt = "1883" has no host: write "127.0.0.1:1883" for this machine only, "0.0.0.0:1883" for every interface (flag --mqtt)',
    ],
    [
      'address form',
      { flags: { http: 'http://x:1' } },
      'listeners.http = "http://x:1" must be HOST:PORT, for example "127.0.0.1:1883", or none (flag --http)',
    ],
    [
      'port',
      { flags: { ws: '127.0.0.1:70000' } },
      'listeners.ws = "127.0.0.1:70000" has a port above 65535 (flag --ws)',
    ],
    ['address type', yaml('listeners:\n  grpc: false'), 'listeners.grpc = false must be HOST:PORT'],
    [
      'join',
      { flags: { join: 'none' } },
      'node.join = ["none"] contains "none": each item must be HOST:PORT (flag --join)',
    ],
    [
      'tri-state',
      yaml('auth:\n  anonymous: sometimes'),
      'auth.anonymous = "sometimes" must be auto, true or false (sluice.yaml:2)',
    ],
    [
      'empty',
      yaml('log:\n  level:\n'),
      'log.level = null is empty: remove the key to get the default, or give it a value (sluice.yaml:2)',
    ],
    ['empty path', yaml('api:\n  keysFile: ""'), 'api.keysFile = "" must be the path of a file (sluice.yaml:2)'],
    [
      'unknown key',
      yaml('mqtt:\n  maxPacketSize: 1MB'),
      'mqtt.maxPacketSize is not a setting (sluice.yaml:2). Did you mean mqtt.maximumPacketSize?',
    ],
    [
      'key of another section',
      yaml('mqtt:\n  partitions: 4'),
      'mqtt.partitions is not a setting (sluice.yaml:2). Did you mean queues.partitions?',
    ],
    [
      'hopeless key',
      yaml('log:\n  zebra: 4'),
      'log.zebra is not a setting (sluice.yaml:2). Keys of log are level, format',
    ],
    [
      'unknown section',
      yaml('listener:\n  mqtt: none'),
      'listener is not a section (sluice.yaml:2). Did you mean listeners?',
    ],
    ['hostile section', yaml('__proto__:\n  polluted: 1'), '__proto__ is not a section'],
    [
      'unknown variable',
      { env: { SLUICE_MQTT__MAX_PACKET_SIZE: '1MB' } },
      'SLUICE_MQTT__MAX_PACKET_SIZE is not a setting (environment variable SLUICE_MQTT__MAX_PACKET_SIZE). Did you mean SLUICE_MQTT__MAXIMUM_PACKET_SIZE?',
    ],
    [
      'one underscore in place of two',
      { env: { SLUICE_AUTH_PASSWORD_FILE: 'passwords' } },
      'SLUICE_AUTH_PASSWORD_FILE is not a setting (environment variable SLUICE_AUTH_PASSWORD_FILE). Did you mean SLUICE_AUTH__PASSWORD_FILE?',
    ],
    [
      'unknown --set',
      { flags: { set: ['log.levle=debug'] } },
      'log.levle is not a setting (flag --set log.levle). Did you mean log.level?',
    ],
    [
      '--set without value',
      { flags: { set: ['log.level'] } },
      '"log.level" must be section.key=value (flag --set). For example: --set log.level=debug',
    ],
    ['list instead of section', yaml('- a'), 'must be a map of sections (sluice.yaml:1)'],
    ['scalar instead of section', yaml('log: debug'), 'log must be a section with keys (sluice.yaml:1)'],
    ['broken YAML', yaml('log:\n  level: "debug\n'), 'is not valid YAML: Missing closing "quote'],
    [
      'key twice',
      yaml('log:\n  level: info\n  level: debug\n'),
      'is not valid YAML: Map keys must be unique (sluice.yaml:3)',
    ],
    [
      'missing file',
      { flags: { config: 'no.yaml' } },
      'the configuration file "no.yaml" does not exist (flag --config)',
    ],
  ])('%s', (_name, given, text) => {
    expect(problemsOf(given).join('\n')).toContain(text);
  });

  it('reports all problems at once', () => {
    expect(
      problemsOf({ ...yaml('log:\n  level: loud\nmqtt:\n  sendBufferMax: x\n'), env: { SLUICE_FOO__BAR: '1' } }),
    ).toHaveLength(3);
  });

  it('never repeats a password', () => {
    const text = problemsOf(
      yaml('auth:\n  users:\n    - username: u\n      password: hunter2\n      extra: hunter2\n'),
    ).join();
    expect(text).toContain('auth.users = (hidden) entry 1 has an unknown key "extra"');
    expect(text).not.toContain('hunter2');
  });
});

describe('settings that must fit together', () => {
  it.each<[string, Given, string]>([
    [
      'TLS without certificate',
      { flags: { mqtts: '127.0.0.1:8883' } },
      'listeners.mqtts = "127.0.0.1:8883" needs tls.certificateFile, which is not set (flag --mqtts). Name a PEM file in tls.certificateFile, or set listeners.mqtts to none',
    ],
    [
      'same address',
      { flags: { ws: '127.0.0.1:1883' } },
      'listeners.ws = "127.0.0.1:1883" is taken by listeners.mqtt (flag --ws)',
    ],
    [
      'publish buffer below packet',
      { flags: { set: ['queues.publishBuffer=1MB'] } },
      'queues.publishBuffer = 1MB is smaller than mqtt.maximumPacketSize (10MB)',
    ],
    [
      'stream of sessions below packet',
      { flags: { set: ['sessions.streamMaxSize=10MB'] } },
      'sessions.streamMaxSize = 10MB does not exceed mqtt.maximumPacketSize (10MB) by 128KB for what is kept with a message: one such packet would drop all that waits for the sessions, itself included (flag --set sessions.streamMaxSize). Raise sessions.streamMaxSize or lower mqtt.maximumPacketSize',
    ],
  ])('%s', (_name, given, text) => {
    expect(problemsOf(given).join('\n')).toContain(text);
  });

  it('takes a stream of sessions that has room for one packet', () => {
    const { config } = loaded({ flags: { set: ['sessions.streamMaxSize=2MB', 'mqtt.maximumPacketSize=1MB'] } });
    expect(config.sessions.streamLimits.bytesMax).toBe(2 * 1024 * 1024);
  });

  it('lets the system choose several ports', () => {
    expect(
      loaded({ flags: { mqtt: '127.0.0.1:0', ws: '127.0.0.1:0', http: '[::1]:0' } }).config.listeners.http,
    ).toEqual({ host: '::1', port: 0 });
  });

  it('warns loudly when writes are not synced', () => {
    expect(loaded({ flags: { set: ['storage.sync=false'] } }).warnings.join()).toMatch(
      /storage.sync is false: acknowledged messages are LOST/,
    );
  });
});

describe('a node among others', () => {
  it.each<[string, Given, string]>([
    ['join without grpc', { flags: { join: 'a:5370' } }, 'node.join needs listeners.grpc'],
    ['some roles without grpc', { flags: { roles: 'gateway', join: 'a:5370' } }, 'leaves something out'],
    ['no coordinator anywhere', { flags: { roles: 'store', grpc: '127.0.0.1:5370' } }, 'node.join is empty'],
    [
      'a founder that is no coordinator',
      { flags: { roles: 'store', grpc: '127.0.0.1:5370', join: '127.0.0.1:5370' } },
      'which has no coordinator role',
    ],
    ['a node that is named twice', { flags: { grpc: 'a:1', join: 'a:1,b:1,a:1' } }, 'names a:1 twice'],
    ['a role that is none', { flags: { roles: 'gateway,broker' } }, 'contains "broker"'],
    [
      'an address without a port',
      { flags: { grpc: 'a:1', join: 'a:1,b' } },
      'contains "b": each item must be HOST:PORT',
    ],
    ['a port nobody could know', { flags: { grpc: '127.0.0.1:0', join: 'a:5370' } }, 'has port 0'],
    [
      'half of the certificates',
      { flags: { grpc: '127.0.0.1:5370', set: ['cluster.caFile=ca.pem'] } },
      'needs all of cluster.caFile',
    ],
    ['grpc open to the network', { flags: { grpc: '0.0.0.0:5370' } }, 'without certificates'],
    ['a name with a space', { flags: { name: 'node one' } }, 'must be a text of at most 255'],
  ])('refuses %s', (_what, given, message) => {
    expect(problemsOf(given).join('\n')).toContain(message);
  });

  it('warns of an even number of coordinators, which gains nothing', () => {
    const warnings = (join: string): string => loaded({ flags: { grpc: '127.0.0.1:1', join } }).warnings.join();
    expect(warnings('127.0.0.1:1,127.0.0.2:1')).toContain('survives no more failures than 1; have 3 or 5');
    expect(warnings('127.0.0.1:1,127.0.0.2:1,127.0.0.3:1')).toBe('');
  });

  it('takes a complete one', () => {
    const { config } = loaded({
      flags: {
        grpc: '10.0.0.1:5370',
        join: '10.0.0.1:5370,10.0.0.2:5370',
        rack: 'zone-a',
        set: ['cluster.insecure=true'],
      },
    });
    expect(config.node).toMatchObject({ rack: 'zone-a', name: '', advertise: null });
    expect(config.cluster).toEqual({ replicationFactor: 3, replaceAfterMs: 300_000, tls: null });
  });
});

describe('who may come in without credentials', () => {
  const keys = { flags: { apiKeys: 'keys' }, files: { keys: 'k:s\n' } };

  it('nobody from elsewhere, and the refusal says how to change that', () => {
    expect(problemsOf({ flags: { mqtt: '0.0.0.0:1883', http: '0.0.0.0:18083' } })).toEqual([
      'listeners.mqtt = "0.0.0.0:1883" is reachable from other machines, but no MQTT user is configured (flag --mqtt). ' +
        'Configure auth.users, auth.passwordFile or auth.database, bind to 127.0.0.1, or allow access without credentials with auth.anonymous: true (--allow-anonymous)',
      'listeners.http = "0.0.0.0:18083" is reachable from other machines, but no API key is configured (flag --http). ' +
        'Name a file of keys in api.keysFile (--api-keys), bind to 127.0.0.1, or allow access without a key with api.anonymous: true (--allow-anonymous)',
    ]);
  });

  it('a host name is not trusted to stay on loopback', () => {
    expect(problemsOf({ flags: { ws: 'my-host:8083' } })).toHaveLength(1);
    expect(problemsOf({ flags: { ws: 'localhost:8083' } })).toHaveLength(0);
    expect(problemsOf({ flags: { ws: '127.0.0.1.example.com:8083' } })).toHaveLength(1);
  });

  it('everybody when told so in words, with a warning', () => {
    const { config, warnings } = loaded({
      flags: { mqtt: '0.0.0.0:1883', http: '0.0.0.0:18083', allowAnonymous: true },
    });
    expect([config.auth.anonymous, config.api.anonymous]).toEqual([true, true]);
    expect(warnings).toHaveLength(2);
  });

  it('holders of credentials once there are any, also on loopback', () => {
    const { config, warnings } = loaded({
      ...keys,
      env: {
        SLUICE_AUTH__USERS: '[{"username":"u","password":"p"}]',
        SLUICE_LISTENERS__MQTT: '0.0.0.0:1883',
        SLUICE_LISTENERS__HTTP: '0.0.0.0:18083',
      },
    });
    expect(config.api).toMatchObject({
      anonymous: false,
      keys: [{ key: 'k', secret: 's', role: 'administrator', scopes: null }],
    });
    expect(config.auth.anonymous).toBe(false);
    expect(config.authorization.noMatch).toBe('deny');
    expect(warnings.join()).toMatch(/^no MQTT client may do anything: there are no rules/);
  });

  it('a node without the gateway role has no MQTT listener to guard', () => {
    expect(
      problemsOf({ flags: { roles: 'store', mqtt: '0.0.0.0:1883', grpc: '127.0.0.1:5370', join: 'c:5370' } }),
    ).toEqual([]);
  });

  it('says when nobody can come in at all', () => {
    expect(loaded(yaml('auth:\n  anonymous: false\napi:\n  anonymous: false\n')).warnings).toHaveLength(2);
  });
});

describe('files with secrets', () => {
  it('finds the key file under its names, ours first', () => {
    const files = { ours: 'a:b', theirs: 'c:d' };
    const keyOf = (env: Record<string, string>) => loaded({ env, files }).config.api.keys[0]?.key;
    expect(keyOf({ EMQX_API_KEY__BOOTSTRAP_FILE: 'theirs' })).toBe('c');
    expect(keyOf({ SLUICE_API_KEYS: 'ours', EMQX_API_KEY__BOOTSTRAP_FILE: 'theirs' })).toBe('a');
    expect(keyOf({ SLUICE_API__KEYS_FILE: 'ours', EMQX_API_KEY__BOOTSTRAP_FILE: 'theirs' })).toBe('a');
  });

  it.each<[string, Given, string]>([
    [
      'missing key file',
      { env: { EMQX_API_KEY__BOOTSTRAP_FILE: 'gone' } },
      'api.keysFile = "gone" does not exist (environment variable EMQX_API_KEY__BOOTSTRAP_FILE)',
    ],
    [
      'bad line of a key file',
      { flags: { apiKeys: 'k' }, files: { k: 'good:one\n\nhunter2\n' } },
      'api.keysFile = "k": line 3 has no colon: expected key:secret',
    ],
    [
      'empty key file',
      { flags: { apiKeys: 'k' }, files: { k: '\n' } },
      'api.keysFile names a file without a single key (k)',
    ],
    [
      'bad line of a password file',
      { flags: { set: ['auth.passwordFile=p'] }, files: { p: '# users\n:hunter2\n' } },
      'auth.passwordFile = "p": line 2 has an empty username: expected username:password (p:2)',
    ],
    [
      'empty password file',
      { flags: { set: ['auth.passwordFile=p'] }, files: { p: '' } },
      'auth.passwordFile names a file without a single user (p)',
    ],
  ])('%s', (_name, given, text) => {
    const all = problemsOf(given).join('\n');
    expect(all).toContain(text);
    expect(all).not.toContain('hunter2');
  });

  it('joins users of the file and of the section', () => {
    const { config } = loaded({
      env: { SLUICE_AUTH__USERS: '[{"username":"u","password":"p"}]' },
      flags: { set: ['auth.passwordFile=p'] },
      files: { p: '# c\nv:a:b\r\n' },
    });
    expect(config.auth.users).toEqual([
      { username: 'u', secret: { plain: 'p' } },
      { username: 'v', secret: { plain: 'a:b' } },
    ]);
  });
});
