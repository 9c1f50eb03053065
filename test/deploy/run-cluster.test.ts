import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from '@jest/globals';
import { DIES_WITH_US } from '../harness/node-lifetime.ts';

const SCRIPT = join(import.meta.dirname, '../../deploy/run-cluster.mjs');

test('npm run cluster: the REST API has one address, too, which answers whichever node is gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-run-cluster-'));
  const words = ['--compact', '--data', folder, '--mqtt', '0', '--http', '0', '--prometheus', 'none'];
  const [program, ...args] = [...DIES_WITH_US, process.execPath, SCRIPT, ...words] as [string];
  const cluster = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(cluster, 'exit');
  let nodes: { name: string; pid: number }[] = [];
  try {
    const { http } = await readyLine(cluster.stdout);
    nodes = JSON.parse(readFileSync(join(folder, 'cluster.json'), 'utf8')).nodes;
    const answering = async (): Promise<string[]> => {
      const names = new Set<string>();
      for (let i = 0; i < 2 * nodes.length; i++) {
        const answer = await fetch(`http://${http}/api/v5/status`, { headers: { connection: 'close' } });
        names.add(/Node (\S+) is/.exec(await answer.text())?.[1] ?? 'nobody');
      }
      return [...names].sort();
    };
    expect(await answering()).toEqual(['node-1', 'node-2', 'node-3']);
    const gone = nodes[0] as { name: string; pid: number };
    const said = lineWith(cluster.stdout, `${gone.name} ended`);
    process.kill(gone.pid, 'SIGKILL');
    await said;
    nodes.shift();
    expect(await answering()).toEqual(['node-2', 'node-3']);
  } finally {
    // The last of them would look for somebody to hand over to.
    for (const { pid } of nodes) process.kill(pid, 'SIGKILL');
    cluster.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

async function readyLine(output: NodeJS.ReadableStream): Promise<{ http: string }> {
  const line = await lineWith(output, 'ready {');
  return JSON.parse(line.slice('ready '.length));
}

function lineWith(output: NodeJS.ReadableStream, text: string): Promise<string> {
  const lines = createInterface({ input: output });
  return new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      if (line.startsWith(text)) resolve(line);
    });
    lines.once('close', () => reject(new Error(`it ended without saying "${text}"`)));
  });
}
