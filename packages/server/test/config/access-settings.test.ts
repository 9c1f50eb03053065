import { expect, test } from '@jest/globals';
import { formatProblem } from '../../src/config/layer.ts';
import { loadConfig } from '../../src/config/load-config.ts';

/** What is wrong with who may come in is said with the name of the setting, and never with what stands in a file. */
function problemOf(set: string[], files: Record<string, string> = {}): string {
  const readFile = (path: string): string => files[path] ?? '';
  const loaded = loadConfig({ flags: { set }, env: {}, readFile });
  return loaded.ok ? '' : loaded.problems.map(formatProblem).join('\n');
}

test.each([
  [['jwt.jwksUrl=http://issuer.example/keys'], {}, /^jwt\.jwksUrl = .* must be a URL with https:/],
  [['jwt.jwksUrl=keys'], {}, /^jwt\.jwksUrl/],
  [['jwt.claims=aud'], {}, /^jwt\.claims .* each item must be NAME=VALUE/],
  [['jwt.secretFile=s'], { s: 'planted' }, /^jwt\.secretFile = "s" holds a secret of less than 32 bytes/],
  [['jwt.publicKeyFile=k'], { k: 'planted' }, /^jwt\.publicKeyFile = "k" holds no public key in PEM/],
  [['jwt.jwksFile=k'], { k: '{"keys":["planted"]}' }, /^jwt\.jwksFile = "k" holds no key for signatures/],
  [['tls.clientRevocationFile=r'], {}, /^tls\.clientRevocationFile = "r" needs tls\.clientCaFile/],
  [['auth.certificateAs=username'], {}, /^auth\.certificateAs = "username" needs tls\.clientCaFile/],
  [['auth.passwordFile=p'], { p: 'ann:$scrypt$planted' }, /line 1 has a hash that cannot be read/],
  [['authorization.rulesFile=r'], { r: '- allow' }, /^authorization\.rulesFile = "r": rule 1 must be a map/],
  [['authorization.denyAction=drop'], {}, /^authorization\.denyAction = "drop" must be disconnect or ignore/],
] as const)('%j', (set, files, expected) => {
  const problem = problemOf([...set], files);
  expect(problem).toMatch(expected);
  expect(problem).not.toContain('planted');
});

test('a token is enough for a listener that others reach; addresses of this machine need no encryption', () => {
  const set = ['listeners.mqtt=0.0.0.0:1', 'jwt.jwksUrl=http://127.0.0.1:8080/keys', 'listeners.ws=none'];
  expect(problemOf(set)).toBe('');
});

test('a secret is not told where it makes the file unreadable, or stands in a URL', () => {
  const file = 'auth:\n  users:\n    - username: ann\n      password: *planted';
  const loaded = loadConfig({ flags: { config: 'f' }, env: {}, readFile: () => file });
  const said = loaded.ok ? '' : loaded.problems.map(formatProblem).join('\n');
  expect(said).toMatch(/^auth cannot be read: .* in quotes/);
  const ofUrl = problemOf(['jwt.jwksUrl=https://ann:planted@issuer.example/keys']);
  expect(ofUrl).toMatch(/^jwt\.jwksUrl = .* must hold no user name and no password/);
  expect(said + ofUrl).not.toContain('planted');
});
