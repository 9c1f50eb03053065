import { connect } from 'node:net';
import { type Address, formatAddress } from '../config/address.ts';
import type { ServerConfig } from '../config/config.ts';
import { type Finding, note, ok, warning } from './finding.ts';

const CONNECT_MS_MAX = 2_000;

/** Whether the coordinators of `node.join` can be reached from here. That a node is not there yet is no mistake. */
export async function checkPeers({ node }: ServerConfig): Promise<Finding[]> {
  if (node.join.length === 0) return [];
  const reached = await Promise.all(node.join.map(reach));
  const missing = node.join.filter((_address, i) => reached[i] !== undefined);
  const findings = node.join.map((address, i): Finding => {
    const at = formatAddress(address);
    const problem = reached[i];
    if (problem === undefined) return ok('peer', `${at} answers`);
    return missing.length === node.join.length
      ? warning(
          'peer',
          `${at}: ${problem}`,
          'Start it, or correct node.join (--join), or let this machine through its firewall',
        )
      : note('peer', `${at}: ${problem}`);
  });
  return findings;
}

/** @returns what is wrong. */
function reach({ host, port }: Address): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (problem: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(problem);
    };
    const timer = setTimeout(() => end(`no answer within ${CONNECT_MS_MAX / 1_000} s`), CONNECT_MS_MAX);
    socket.once('connect', () => end(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ECONNREFUSED' ? 'nobody listens there' : error.message),
    );
  });
}
