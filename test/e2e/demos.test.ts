import { afterAll, afterEach, beforeAll, describe, expect } from '@jest/globals';
import { PAHO, testWith } from '../harness/left-out.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { killAll, MAKERS, together, type Worker } from './support/makers.ts';
import { Queues } from './support/queues.ts';
import { numbered, settled, sorted, until } from './support/until.ts';

const JOBS = 500;
const WINDOW = 10;
const IMAGE_BYTES = 300 * 1024;

let server: Broker;
let queues: Queues;

beforeAll(async () => {
  server = await startBroker();
  queues = new Queues(server);
});

afterEach(killAll);
afterAll(() => server?.dispose());

const jobs = (count: number, prefix = ''): { text: string }[] => numbered(count, prefix).map((text) => ({ text }));

async function leave(...workers: Worker[]): Promise<void> {
  await Promise.all(workers.map((worker) => worker.leave()));
}

describe.each(MAKERS)('$name', (maker) => {
  const topic = (name: string): string => `${name}-${maker.name.replace(/\W+/g, '-')}`;

  testWith(
    maker.needs,
    'task queue: two workers at QoS 0 share the jobs, each is done once, also when the producer was there first',
    async () => {
      const jobsTopic = topic('jobs');
      const name = await queues.create({ topic_filter: jobsTopic, dispatch_strategy: 'random' });
      const onlooker = await maker.subscribe(server.mqtt, jobsTopic);
      const live = [
        await maker.subscribe(server.mqtt, `$q/${jobsTopic}`),
        await maker.subscribe(server.mqtt, `$q/${jobsTopic}`),
      ];
      await maker.publish(server.mqtt, jobsTopic, jobs(JOBS, 'live '));
      expect(sorted(await together(live, JOBS))).toEqual(numbered(JOBS, 'live '));
      // Chance decides between those with room; on a busy machine the slower process has it less often.
      for (const worker of live) expect(worker.texts.length).toBeGreaterThan(0.15 * JOBS);
      expect(new Set(live.flatMap((worker) => worker.qos))).toEqual(new Set([1]));
      await queues.depth(name, 0);
      await leave(...live);

      await maker.publish(server.mqtt, jobsTopic, jobs(JOBS, 'stored '));
      await queues.depth(name, JOBS);
      // A job takes a moment, or the first worker would be done with all before the second has subscribed.
      const work = maker.works ? 0.003 : 0;
      const late = await Promise.all(
        [1, 2].map(async () => await maker.subscribe(server.mqtt, `$q/${jobsTopic}`, work)),
      );
      expect(sorted(await together(late, JOBS))).toEqual(numbered(JOBS, 'stored '));
      if (maker.works) for (const worker of late) expect(worker.texts.length).toBeGreaterThan(0.15 * JOBS);
      await queues.depth(name, 0);
      expect(await settled(() => late.flatMap((worker) => worker.texts).length)).toBe(JOBS);
      expect((await together([onlooker], 2 * JOBS)).length).toBe(2 * JOBS);
      await leave(onlooker, ...late);
    },
  );

  if (!maker.works) return;

  testWith(maker.needs, 'slow worker: the fast one takes nearly all, and what a killed one held', async () => {
    const tasks = topic('tasks');
    const name = await queues.create({ topic_filter: tasks, dispatch_strategy: 'least_inflight' });
    const slow = await maker.subscribe(server.mqtt, `$q/${tasks}`, 0.5);
    const fast = await maker.subscribe(server.mqtt, `$q/${tasks}`);
    await maker.publish(server.mqtt, tasks, jobs(200));
    await together([fast], 200 - WINDOW - 3);
    await settled(() => fast.texts.length);
    const { inflight_messages: held, depth_messages: depth } = await queues.statistics(name);
    expect(held).toBe(depth);
    expect(depth).toBeLessThanOrEqual(WINDOW);
    await slow.kill();
    await queues.depth(name, 0);
    expect(new Set([...slow.texts, ...fast.texts]).size).toBe(200);
    await leave(fast);
  });

  testWith(maker.needs, 'images of 300 KB: a killed worker’s job goes to another at once, whole', async () => {
    const images = topic('images');
    await queues.create({
      topic_filter: `${images}/+`,
      dispatch_strategy: 'least_inflight',
      redispatch_interval: '1h',
    });
    const dying = await maker.subscribe(server.mqtt, `$q/${images}/+`, 60);
    const living = await maker.subscribe(server.mqtt, `$q/${images}/+`);
    const all = numbered(24, 'image ');
    await maker.publish(
      server.mqtt,
      `${images}/camera`,
      all.map((text) => ({ text, sizeBytes: IMAGE_BYTES })),
    );
    await together([dying], 1);
    const before = await settled(() => living.texts.length);
    expect(all.length - before).toBeGreaterThan(0);
    expect(all.length - before).toBeLessThanOrEqual(WINDOW);
    await dying.kill();
    expect(sorted(await together([living], all.length))).toEqual(all);
    expect(living.texts).toContain(dying.texts[0]);
    expect(new Set(living.sizes)).toEqual(new Set([IMAGE_BYTES]));
    await leave(living);
  });
});

describe.each(MAKERS)('$name, as a device', (maker) => {
  // Keys travel as user properties, which MQTT 3.1.1 has not; its devices still receive.
  const sender = maker.version === 5 ? maker : (MAKERS[MAKERS.indexOf(maker) + 1] as typeof maker);

  testWith(maker.needs, 'command queue: the newest of each key after an absence, then every one live', async () => {
    const commands = `commands-${maker.name.replace(/\W+/g, '-')}/device1`;
    const name = await queues.create({
      topic_filter: commands,
      is_lastvalue: true,
      key_expression: 'message.headers.properties.User-Property.key',
      dispatch_strategy: 'random',
    });
    const send = (key: string, ...texts: string[]): Promise<void> =>
      sender.publish(
        server.mqtt,
        commands,
        texts.map((text) => ({ text, key })),
      );
    const onlooker = await maker.subscribe(server.mqtt, commands);
    await send('set-color', ...numbered(10, 'color '));
    const device = await maker.subscribe(server.mqtt, `$q/${commands}`);
    expect(await together([device], 1)).toEqual(['color 10']);
    expect(await settled(() => device.texts.length)).toBe(1);
    for (const text of ['color 11', 'color 12']) {
      await send('set-color', text);
      await until(() => device.texts.includes(text), text);
    }
    expect(device.texts).toEqual(['color 10', 'color 11', 'color 12']);
    await queues.depth(name, 0);
    await device.leave();

    await send('set-color', 'red', 'green');
    await send('set-volume', '1', '2', '3');
    await send('reboot', 'now');
    const again = await maker.subscribe(server.mqtt, `$q/${commands}`);
    expect(sorted(await together([again], 3))).toEqual(sorted(['green', '3', 'now']));
    expect(await settled(() => again.texts.length)).toBe(3);
    expect((await together([onlooker], 18)).length).toBe(18);
    await leave(again, onlooker);
  });
});

testWith(PAHO, 'makers mix: jobs of one, done by all', async () => {
  await queues.create({ topic_filter: 'mixed', dispatch_strategy: 'round_robin' });
  const makers = MAKERS.filter((maker) => maker.needs.every((tool) => tool.isPresent()));
  const workers = await Promise.all(makers.map((maker) => maker.subscribe(server.mqtt, '$q/mixed')));
  await (makers[0] as (typeof makers)[number]).publish(server.mqtt, 'mixed', jobs(300));
  expect(sorted(await together(workers, 300))).toEqual(numbered(300));
  for (const worker of workers) expect(worker.texts.length).toBeGreaterThan(10);
  await leave(...workers);
});
