import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** The client's side of SCRAM-SHA-256, written after the RFC and not after our server. */
export class ScramClient {
  readonly #password: string;
  readonly #firstBare: string;
  #serverSignature = '';

  constructor(username: string, password: string, nonce: string) {
    this.#password = password;
    this.#firstBare = `n=${username},r=${nonce}`;
  }

  first(): Buffer {
    return Buffer.from(`n,,${this.#firstBare}`);
  }

  final(serverFirst: Uint8Array): Buffer {
    const asked = Buffer.from(serverFirst).toString();
    const [, nonce, salt, iterations] = /^r=(.*),s=(.*),i=(\d+)$/.exec(asked) as unknown as string[];
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt as string, 'base64'), Number(iterations), 32, 'sha256');
    const clientKey = hmac(salted, 'Client Key');
    const withoutProof = `c=biws,r=${nonce}`;
    const message = `${this.#firstBare},${asked},${withoutProof}`;
    const signature = hmac(createHash('sha256').update(clientKey).digest(), message);
    this.#serverSignature = `v=${hmac(hmac(salted, 'Server Key'), message).toString('base64')}`;
    const proof = clientKey.map((byte, i) => byte ^ (signature[i] as number));
    return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`);
  }

  /** Whether the server knows what only the keeper of the verifier knows. */
  isServer(data: Uint8Array | undefined): boolean {
    return Buffer.from(data ?? []).toString() === this.#serverSignature;
  }
}
