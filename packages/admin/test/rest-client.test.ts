import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { CliFailure, EXIT } from '../src/cli-failure.ts';
import { streamApi } from '../src/rest-client.ts';

async function failure(answer: RequestListener): Promise<unknown> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    return await streamApi({ url, apiKey: undefined }, '/').then(
      () => undefined,
      (cause: unknown) => cause,
    );
  } finally {
    server.close();
  }
}

test('a refusal that breaks off is no answer, and may pass', async () => {
  const cause = await failure((_, response) => {
    response.writeHead(503, { 'content-length': 100 });
    response.write('{', () => response.destroy());
  });
  expect(cause).toBeInstanceOf(CliFailure);
  expect(cause).toMatchObject({ exitCode: EXIT.unreachable, mayPass: true });
});

test.each([502, 503, 504])('a page of a proxy that reaches no server (%d) may pass', async (status) => {
  const cause = await failure((_, response) => {
    response.writeHead(status, { 'content-type': 'text/html' });
    response.end('<html>Bad Gateway</html>');
  });
  expect(cause).toBeInstanceOf(CliFailure);
  expect(cause).toMatchObject({ mayPass: true });
});

test('a page that something else answers with stays one', async () => {
  const cause = await failure((_, response) => {
    response.writeHead(404, { 'content-type': 'text/html' });
    response.end('<html>Not Found</html>');
  });
  expect(cause).toMatchObject({ exitCode: EXIT.failure, mayPass: false });
});
