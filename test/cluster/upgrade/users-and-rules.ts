import type { Prng } from '@sluice/common/prng';
import mqtt, { type MqttClient } from 'mqtt';
import { codeOf } from '../../access/clients.ts';
import { addressOf } from '../../harness/server-process.ts';
import { type ClusterProcess, type ClusterUnderTest, patiently } from '../cluster-under-test.ts';
import { pick } from '../fault.ts';
import type { KindVerdict, UpgradeKind } from './upgrade-kind.ts';

const USERS = '/api/v5/authentication/password_based:built_in_database/users';
const RULES = '/api/v5/authorization/sources/built_in_database/rules/users';
const BANNED = '/api/v5/banned';
/** On a machine that does other things as well. */
const CHANGE_MS_MAX = 120_000;
const CALL_MS_MAX = 15_000;
/** Let in, allowed on its own topic, and not elsewhere. */
const DONE = `done,done,${0x87}`;
/** Nobody knows the name: let in as those without one are, and no rule concerns it. */
const STRANGER = 'done,done,done';
const BAD_PASSWORD = String(0x86);
const BANNED_ONE = String(0x8a);

/**
 * Users, rules and bans in the metadata: made before the first step, and more of them changed at each, over a node of any
 * build. All gateways, of whichever build, let in those they should, and nobody else.
 */
export class UsersAndRules implements UpgradeKind {
  readonly name = 'users and rules';
  readonly #cluster: ClusterUnderTest;
  readonly #prng: Prng;
  readonly #users = new Map<string, string>();
  readonly #removed = new Map<string, string>();
  readonly #wrong: string[] = [];
  #tries = 0;

  constructor(cluster: ClusterUnderTest, prng: Prng) {
    this.#cluster = cluster;
    this.#prng = prng;
  }

  async begin(): Promise<void> {
    for (const user of ['first', 'second']) await this.#add(user, `of ${user}`);
    await this.#change('POST', BANNED, { as: 'clientid', who: 'moth', reason: 'it flutters' });
    await this.#look('before the first step');
  }

  async afterStep(step: number): Promise<void> {
    await this.#add(`step-${step}`, 'at first');
    await this.#change('PUT', `${USERS}/step-${step}`, { password: 'later' });
    this.#users.set(`step-${step}`, 'later');
    const former = `step-${step - 1}`;
    if (this.#users.has(former)) {
      await this.#change('DELETE', `${USERS}/${former}`);
      this.#removed.set(former, this.#users.get(former) as string);
      this.#users.delete(former);
    }
    await this.#look(`after the changes of step ${step}`);
  }

  async end(): Promise<KindVerdict> {
    await this.#look('in the end');
    const did = `${this.#users.size + this.#removed.size} users, ${this.#removed.size} removed, ${this.#tries} tries`;
    return { did, wrong: this.#wrong };
  }

  stop(): void {}

  async #add(user: string, password: string): Promise<void> {
    await this.#change('POST', USERS, { user_id: user, password });
    const rules = [
      { topic: `rooms/${user}`, permission: 'allow', action: 'all' },
      { topic: 'rooms/#', permission: 'deny', action: 'all' },
    ];
    await this.#change('POST', RULES, [{ username: user, rules }]);
    this.#users.set(user, password);
  }

  /** Over any node; while no coordinator leads it is refused, and asked for again. */
  async #change(method: string, path: string, body?: unknown): Promise<void> {
    let last = '';
    try {
      await patiently(`${method} ${path}`, performance.now() + CHANGE_MS_MAX, async () => {
        const nodes = this.#cluster.nodes.filter(({ isRunning }) => isRunning);
        const { name } = pick(this.#prng, nodes);
        const answer = await this.#cluster.rest(name, CALL_MS_MAX).request(method, path, body);
        last = `${name} said ${answer.status} ${JSON.stringify(answer.body)}`;
        // Done before, by a call that had no answer.
        return answer.status < 300 || (method === 'POST' && answer.status === 409);
      });
    } catch (cause) {
      throw new Error(`${cause}; ${last}`, { cause });
    }
  }

  /** What was changed is known everywhere soon; what is not so in the end is wrong. */
  async #look(when: string): Promise<void> {
    for (const gateway of this.#cluster.gateways()) {
      let found: string[] = [];
      await patiently('the access of now', performance.now() + CHANGE_MS_MAX, async () => {
        found = await this.#wrongAt(gateway);
        return found.length === 0;
      }).catch(() => this.#wrong.push(...found.map((what) => `${when}, at ${gateway.name}: ${what}`)));
    }
  }

  async #wrongAt(gateway: ClusterProcess): Promise<string[]> {
    const found: string[] = [];
    const expect = async (what: string, expected: string, attempt: Promise<string>) => {
      const came = await attempt;
      this.#tries++;
      if (came !== expected) found.push(`${what}: ${came}, not ${expected}`);
    };
    for (const [user, password] of this.#users) {
      await expect(user, DONE, this.#try(gateway, user, password));
    }
    await expect('first, wrongly', BAD_PASSWORD, this.#try(gateway, 'first', 'wrong'));
    for (const [user, password] of [...this.#removed].slice(-1)) {
      await expect(`${user}, removed`, STRANGER, this.#try(gateway, user, password));
    }
    await expect('moth', BANNED_ONE, this.#try(gateway, 'first', 'of first', 'moth'));
    return found;
  }

  /** What came of connecting, of publishing where it may, and of publishing elsewhere. */
  async #try(
    gateway: ClusterProcess,
    username: string,
    password: string,
    clientId = `tries-${this.#tries}`,
  ): Promise<string> {
    let client: MqttClient | undefined;
    const came: unknown[] = [];
    const note = async (attempt: Promise<unknown>): Promise<boolean> => {
      const code = await codeOf(attempt);
      came.push(code);
      return code === 'done';
    };
    try {
      const connecting = mqtt.connectAsync({
        ...addressOf(gateway.mqtt),
        ...{ clientId, username, password, protocolVersion: 5, reconnectPeriod: 0 },
      });
      if (await note(connecting)) {
        client = await connecting;
        client.on('error', () => {});
        await note(client.publishAsync(`rooms/${username}`, 'x', { qos: 1 }));
        await note(client.publishAsync('rooms/other', 'x', { qos: 1 }));
      }
      return came.join();
    } finally {
      client?.end(true);
    }
  }
}
