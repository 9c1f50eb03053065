import { afterEach, expect, test } from '@jest/globals';
import { until } from '../faults/load.ts';
import { type ServerExit, ServerProcess } from '../harness/server-process.ts';

/** What no client can make a node do: an error that nobody catches, an exit, a heap that is full. */
const PLANTED = `
process.once('SIGWINCH', () => { throw new Error('planted'); });
process.once('SIGCONT', () => void Promise.reject(new Error('planted rejection')));
process.once('SIGURG', () => process.exit(0));
process.once('SIGIO', () => { const all = []; for (;;) all.push(new Array(1e5).fill(all.length)); });
`;
const env = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PLANTED)} --max-old-space-size=96`,
};

let server: ServerProcess | undefined;
afterEach(() => server?.dispose());

/** Ends by a signal, and says so. */
async function ends(by: NodeJS.Signals, words: RegExp): Promise<ServerExit> {
  const { length } = server?.log ?? '';
  const exit = (await server?.kill(by)) as ServerExit;
  // Its end is heard of before the end of its output.
  const said = () => server?.log.slice(length) ?? '';
  await until(
    () => `${words} in: ${said()}`,
    performance.now() + 5_000,
    async () => words.test(said()),
  );
  return exit;
}

test('no way out of the process without a line; of those that leave no time for one, the next start tells', async () => {
  server = await ServerProcess.start({ env });
  expect(await ends('SIGWINCH', /planted.*an error that nobody expected/)).toEqual({ code: 1, signal: null });
  await server.restart();
  expect(await ends('SIGCONT', /planted rejection.*an error that nobody expected/)).toEqual({
    code: 1,
    signal: null,
  });
  await server.restart();
  expect(await ends('SIGURG', /nobody has asked for it/)).toEqual({ code: 0, signal: null });
  await server.restart();
  expect(await ends('SIGUSR2', /at once, by a signal/)).toEqual({ code: null, signal: 'SIGUSR2' });
  await server.restart();
  // By a signal, of which there is no code; which one is V8's business.
  expect((await ends('SIGIO', /heap out of memory/)).code).not.toBe(0);
  await server.restart();
  const { pid } = server;
  await server.kill('SIGKILL');
  await server.restart();
  expect(server.log).toMatch(new RegExp(`"pid":${pid},"msg":"this node was not stopped the last time`));
  const { length } = server.log;
  await server.stop();
  expect(server.log.slice(length)).toContain('"stopped"');
  await server.restart();
  expect(server.log.slice(length)).not.toContain('was not stopped the last time');
}, 60_000);
