import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Address, formatAddress } from '../config/address.ts';
import type { ClusterTlsFiles, ServerConfig } from '../config/config.ts';
import { type Finding, failure, note, ok, warning } from './finding.ts';

const ANSWER_MS_MAX = 2_000;

/** How every HTTP/2 connection begins (RFC 9113, 3.4), with settings that say nothing; the other side answers with its own. */
const GREETING = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const FRAME_TYPE_AT = 3;
const SETTINGS = 4;

/** `away`: it may come yet. `refused`: somebody is there, and waiting does not help. */
type Reached = { is: 'there' } | { is: 'away' | 'refused'; why: string };

/**
 * Whether the coordinators of `node.join` can be reached from here, and let this node in with its certificate: a port that
 * is open says little. That a node is not there yet is no mistake.
 */
export async function checkPeers({ node, cluster }: ServerConfig): Promise<Finding[]> {
  if (node.join.length === 0) return [];
  const tls = await filesOf(cluster.tls);
  // `checkCertificates` says what is wrong with them.
  if (tls === 'unreadable') return [];
  const reached = await Promise.all(node.join.map((address) => greet(address, tls)));
  const nobody = reached.every(({ is }) => is === 'away');
  return node.join.map((address, i): Finding => {
    const at = formatAddress(address);
    const found = reached[i] as Reached;
    if (found.is === 'there') return ok('peer', `${at} answers`);
    const said = `${at}: ${found.why}`;
    if (found.is === 'refused')
      return failure('peer', said, 'All nodes have certificates of one authority, or none has');
    return nobody
      ? warning('peer', said, 'Start it, or correct node.join (--join), or let this machine through its firewall')
      : note('peer', said);
  });
}

interface Pem {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

async function filesOf(files: ClusterTlsFiles | null): Promise<Pem | undefined | 'unreadable'> {
  if (files === null) return undefined;
  try {
    const paths = [files.caFile, files.certificateFile, files.keyFile];
    const [ca, cert, key] = (await Promise.all(paths.map((path) => readFile(path)))) as [Buffer, Buffer, Buffer];
    return { ca, cert, key };
  } catch {
    return 'unreadable';
  }
}

function greet({ host, port }: Address, tls: Pem | undefined): Promise<Reached> {
  return new Promise((resolve) => {
    let isOpen = false;
    const opened = (): void => {
      isOpen = true;
      socket.write(GREETING);
    };
    const socket: Socket =
      tls === undefined
        ? connect({ host, port }, opened)
        : connectTls({ host, port, ...tls, minVersion: 'TLSv1.3', ALPNProtocols: ['h2'] }, opened);
    const end = (reached: Reached): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reached);
    };
    const closed = (): void =>
      end(
        isOpen && tls !== undefined
          ? { is: 'refused', why: 'it does not accept the certificate of this node; its log says why' }
          : {
              is: 'refused',
              why: `it hangs up on ${tls === undefined ? 'who has no certificate' : 'a TLS handshake'}`,
            },
      );
    const timer = setTimeout(
      () => end({ is: 'away', why: `no answer within ${ANSWER_MS_MAX / 1_000} s` }),
      ANSWER_MS_MAX,
    );
    socket.once('data', (bytes: Buffer) =>
      end(
        bytes[FRAME_TYPE_AT] === SETTINGS
          ? { is: 'there' }
          : { is: 'refused', why: 'no node of a cluster answers there' },
      ),
    );
    socket.once('close', closed);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') end({ is: 'away', why: 'nobody listens there' });
      else if (error.code === 'ECONNRESET') closed();
      else if (UNREACHED.has(error.code ?? '')) end({ is: 'away', why: error.message });
      else end({ is: 'refused', why: error.message });
    });
  });
}

/** Of the network, not of who is there. */
const UNREACHED: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
]);
