import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { PacketType } from '@sluice/mqtt/codec/packet';
import { type Address, parseReadyLine } from '../harness/server-process.ts';
import { publishing } from './broker-under-attack.ts';
import { RawClient } from './raw-client.ts';

const BIN = join(import.meta.dirname, '../../packages/server/dist/bin.js');
const OPEN_FILES = 300;

/**
 * Sockets are files. Whoever opens enough of them, saying nothing, must not be able to keep the storage from opening its
 * next file: a log that cannot be written fences its node until it is started again.
 */
test('B2: more sockets than the process may have open, on every port: the storage still opens its files, and room comes back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-files-'));
  const flags = ['--data', folder, '--mqtt', '127.0.0.1:0', '--ws', '127.0.0.1:0', '--http', '127.0.0.1:0'];
  const settings = ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=500KB'];
  const command = `ulimit -n ${OPEN_FILES} && exec "$0" "$@"`;
  const child = spawn('sh', ['-c', command, process.execPath, BIN, 'server', ...flags, ...settings], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const sockets: Socket[] = [];
  try {
    const addresses = await new Promise<Map<string, Address>>((resolve, reject) => {
      child.once('exit', () => reject(new Error(log)));
      createInterface({ input: child.stdout }).on('line', (line) => resolve(parseReadyLine(line)));
    });
    const [mqtt, http] = [addresses.get('mqtt') as Address, addresses.get('http') as Address];
    const api = `http://${http.host}:${http.port}`;
    const created = await fetch(`${api}/api/v5/message_queues/queues`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: '{"topic_filter":"files","is_lastvalue":false}',
    });
    expect(created.status).toBe(200);
    const publisher = await RawClient.open(mqtt);
    await publisher.hello('publisher', 5);
    for (const { host, port } of [http, addresses.get('ws') as Address, mqtt]) {
      for (let i = 0; i < OPEN_FILES + 100; i++) {
        const socket = connect(port, host);
        socket.on('error', () => {});
        sockets.push(socket);
      }
    }
    for (let packetId = 1; packetId <= 20; packetId++) {
      publisher.send(publishing('files', { qos: 1, packetId, payload: Buffer.alloc(400_000) }));
      expect(await publisher.next()).toMatchObject({ type: PacketType.PUBACK, packetId, reasonCode: 0 });
    }
    for (const socket of sockets) socket.destroy();
    const deadline = Date.now() + 10_000;
    for (;;) {
      const page = await fetch(`${api}/metrics`).then(
        (response) => response.text(),
        () => '',
      );
      const refused = Number(/^sluice_gateway_connections_refused_total (\d+)$/m.exec(page)?.[1] ?? 0);
      if (refused > OPEN_FILES) break;
      if (Date.now() > deadline) throw new Error(`refused ${refused}\n${log}`);
    }
    const late = await RawClient.open(mqtt);
    expect(await late.hello('late', 4)).toMatchObject({ type: PacketType.CONNACK, reasonCode: 0 });
    late.write(encode({ type: PacketType.DISCONNECT, reasonCode: 0 }, 4));
    expect((await fetch(`${api}/readyz`)).status).toBe(200);
    expect(log).toContain('raise the limit of open files');
    expect(log).not.toMatch(/EMFILE|fenced|"level":"error"/);
    publisher.destroy();
  } finally {
    for (const socket of sockets) socket.destroy();
    child.removeAllListeners('exit');
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
