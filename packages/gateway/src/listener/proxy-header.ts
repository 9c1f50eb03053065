import { crc32c } from '@sluice/common/bytes/crc32c';
import { addressOf } from '@sluice/common/ip-address';
import type { PeerCertificate } from '../connection/byte-channel.ts';

/**
 * The header of PROXY protocol version 2, by which a balancer says whose connection it passes on. Whoever may send it may
 * say to be anybody, so it is read only where a listener is told to, and then strictly: a header with anything wrong in it
 * ends the connection. Version 1, which is text, is not spoken.
 */
export const PROXY_HEAD_BYTES = 16;
/** Addresses and what is said beside them; HAProxy's own bound is of this size. */
const PROXY_BODY_BYTES_MAX = 4096;

const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const LOCAL = 0x20;
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;
const TLV_CRC32C = 0x03;
const TLV_SSL = 0x20;
const TLV_SSL_CN = 0x22;
const SSL_CLIENT_CERTIFICATE = 0x02 | 0x04;

export interface ProxiedPeer {
  readonly host: string;
  readonly port: number;
  /** Of TLS that ended at the balancer, where that has verified it. */
  readonly certificate: PeerCertificate | undefined;
}

/** @returns how many bytes follow the first sixteen; undefined when they begin no header. */
export function proxyBodyBytes(head: Buffer): number | undefined {
  if (head.length !== PROXY_HEAD_BYTES || !head.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return undefined;
  const command = head[12];
  if (command !== LOCAL && command !== PROXY) return undefined;
  const bytes = head.readUInt16BE(14);
  return bytes <= PROXY_BODY_BYTES_MAX ? bytes : undefined;
}

/** `own`: the balancer speaks for itself, to see whether the broker lives. `invalid`: there is something wrong in it. */
export function readProxyHeader(head: Buffer, body: Buffer): ProxiedPeer | 'own' | 'invalid' {
  if (proxyBodyBytes(head) !== body.length) return 'invalid';
  if (head[12] === LOCAL) return 'own';
  const family = head[13];
  const addressBytes = family === TCP4 ? 4 : family === TCP6 ? 16 : 0;
  const fixedBytes = addressBytes * 2 + 4;
  if (addressBytes === 0 || body.length < fixedBytes) return 'invalid';
  const host = family === TCP4 ? [...body.subarray(0, 4)].join('.') : textOfIpv6(body.subarray(0, 16));
  const port = body.readUInt16BE(addressBytes * 2);
  const tlvs = readTlvs(body.subarray(fixedBytes));
  if (tlvs === undefined || !isIntact(head, body, tlvs)) return 'invalid';
  const ssl = tlvs.find(({ type }) => type === TLV_SSL)?.value;
  const certificate = ssl === undefined ? undefined : certificateOf(ssl);
  return certificate === 'invalid' ? 'invalid' : { host, port, certificate };
}

interface Tlv {
  type: number;
  value: Buffer;
}

/** Undefined when they do not end where the header does. */
function readTlvs(bytes: Buffer): Tlv[] | undefined {
  const tlvs: Tlv[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 3 > bytes.length) return undefined;
    const end = at + 3 + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) return undefined;
    tlvs.push({ type: bytes[at] as number, value: bytes.subarray(at + 3, end) });
    at = end;
  }
  return tlvs;
}

/** The sum, where there is one, is that of the header with zeros in its place. */
function isIntact(head: Buffer, body: Buffer, tlvs: readonly Tlv[]): boolean {
  const sum = tlvs.find(({ type }) => type === TLV_CRC32C)?.value;
  if (sum === undefined) return true;
  if (sum.length !== 4) return false;
  const said = sum.readUInt32BE(0);
  const whole = Buffer.concat([head, body]);
  whole.fill(
    0,
    PROXY_HEAD_BYTES + (sum.byteOffset - body.byteOffset),
    PROXY_HEAD_BYTES + (sum.byteOffset - body.byteOffset) + 4,
  );
  return crc32c(whole) === said;
}

function certificateOf(ssl: Buffer): PeerCertificate | undefined | 'invalid' {
  if (ssl.length < 5) return 'invalid';
  const inner = readTlvs(ssl.subarray(5));
  if (inner === undefined) return 'invalid';
  const isVerified = ((ssl[0] as number) & SSL_CLIENT_CERTIFICATE) !== 0 && ssl.readUInt32BE(1) === 0;
  const names = inner.filter(({ type }) => type === TLV_SSL_CN).map(({ value }) => value.toString('utf8'));
  const [commonName] = names;
  if (!isVerified || names.length !== 1 || commonName === undefined || !isName(commonName)) return undefined;
  return { commonName, dns: [], emails: [], uris: [] };
}

function isName(text: string): boolean {
  return text !== '' && !text.includes('\0') && !text.includes('\ufffd');
}

function textOfIpv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  return addressOf(groups.join(':')) as string;
}
