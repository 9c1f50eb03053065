import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { LINKED_INDEX, type LinkedIndex, linkedScript, runLinked } from './linked-file.ts';

/**
 * Starts a node from the linked file, lets a client connect, and keeps what V8 compiled for it. A start that finds it
 * parses and compiles next to nothing, which is a third of its processor time otherwise.
 *
 *   node packages/server/dist/link/warm-command.js
 */
const READY = 'ready ';
/** MQTT 5, clean start, client id `w`; then QoS 1, topic `w`, packet id 1. */
const CONNECT = Buffer.from('\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01w', 'latin1');
const PUBLISH = Buffer.from('\x32\x07\x00\x01w\x00\x01\x00w', 'latin1');

const index = JSON.parse(readFileSync(LINKED_INDEX, 'utf8')) as LinkedIndex;
const script = linkedScript(index);
const data = mkdtempSync(join(tmpdir(), 'sluice-warm-'));
process.on('exit', () => rmSync(data, { recursive: true, force: true }));

const ready = readyLine();
const { runCommand } = runLinked<typeof import('../command.ts')>(index, script);
const listeners = ['--mqtt', '127.0.0.1:0', '--ws', 'none', '--http', '127.0.0.1:0'];
await runCommand([process.execPath, 'sluice', 'server', '--data', data, ...listeners]);
const { mqtt } = JSON.parse((await ready).slice(READY.length)) as { mqtt: string };
await talk(Number(mqtt.slice(mqtt.lastIndexOf(':') + 1)));

// As a process begins with: V8 takes no code that was made under other flags (`heap-growth` sets this one).
setFlagsFromString('--heap-growing-percent=0');
const code = script.createCachedData();
const path = fileURLToPath(new URL(index.code, LINKED_INDEX));
writeFileSync(`${path}.new`, code);
renameSync(`${path}.new`, path);
process.stdout.write(`kept the code of a start, ${Math.round(code.length / 1024)} KB\n`);
// As whoever runs a node ends it: it takes anything else for an accident, and says so.
process.kill(process.pid, 'SIGTERM');

/** What the node says when it serves; it is not for whoever builds. */
function readyLine(): Promise<string> {
  const { write } = process.stdout;
  return new Promise((resolve) => {
    process.stdout.write = ((text: string | Uint8Array) => {
      if (typeof text !== 'string' || !text.startsWith(READY)) return true;
      process.stdout.write = write;
      resolve(text);
      return true;
    }) as typeof process.stdout.write;
  });
}

/** A client of MQTT 5 connects, publishes and is answered. */
async function talk(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  for (const packet of [CONNECT, PUBLISH]) {
    socket.write(packet);
    await once(socket, 'data');
  }
  socket.destroy();
}
