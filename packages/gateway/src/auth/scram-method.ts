import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { type AuthenticationMethod, objectionTo } from './authentication-chain.ts';
import type { AuthenticationOutcome, AuthenticationRequest } from './authenticator.ts';
import type { EnhancedExchange, EnhancedMethod, EnhancedStep } from './enhanced-method.ts';
import type { KnownUser } from './password-method.ts';
import type { ScramCredentials, ScramVerifier } from './scram-verifier.ts';

/** Users of one source, in the order in which sources are asked for passwords as well. */
export interface ScramSource {
  /** Of the method that knows them: a user that is taken away there is sent away wherever it proved itself. */
  readonly name: string;
  readonly users: ScramCredentials & { find(username: string): KnownUser | undefined };
}

/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding: the client proves that it knows the password, and the server
 * that it knows the client's verifier, while neither sends what the other could use elsewhere. Four messages, each of
 * one line of `key=value`: first and final of the client, first and final of the server.
 *
 * Whoever nobody knows gets a salt and an iteration count like everybody else, the same each time it asks, and fails at
 * the end like somebody with a wrong password.
 */
export class ScramMethod implements EnhancedMethod {
  readonly name = 'SCRAM-SHA-256';
  readonly #sources: readonly ScramSource[];
  readonly #guards: readonly AuthenticationMethod[];
  readonly #decoyKey = randomBytes(32);
  readonly #nonce: () => string;

  /** @param guards asked before anybody is admitted: what they do not answer by `unknown` refuses. */
  constructor(
    sources: readonly ScramSource[],
    guards: readonly AuthenticationMethod[] = [],
    nonce: () => string = () => randomBytes(NONCE_BYTES).toString('base64'),
  ) {
    this.#sources = sources;
    this.#guards = guards;
    this.#nonce = nonce;
  }

  begin(request: AuthenticationRequest): EnhancedExchange {
    return new ScramExchange(this, request, this.#nonce());
  }

  find(username: string): { verifier: ScramVerifier; admitted: AuthenticationOutcome | undefined } {
    for (const { name, users } of this.#sources) {
      const user = users.find(username);
      if (user === undefined) continue;
      const verifier = users.scramVerifier(username);
      // Known there, with a password alone: another source's verifier is another password.
      if (verifier === undefined) break;
      const isSuperuser = user.isSuperuser === true;
      const outcome = { reasonCode: ReasonCode.SUCCESS, identity: username, isSuperuser, method: name };
      return { verifier, admitted: outcome };
    }
    return { verifier: this.#decoy(username), admitted: undefined };
  }

  /** Undefined when nobody objects. */
  objection(request: AuthenticationRequest, username: string): AuthenticationOutcome | undefined {
    return objectionTo(this.#guards, request, username);
  }

  #decoy(username: string): ScramVerifier {
    const salt = hmac(this.#decoyKey, `salt ${username}`).subarray(0, DECOY_SALT_BYTES);
    const storedKey = hmac(this.#decoyKey, `key ${username}`);
    return { iterations: DECOY_ITERATIONS, salt, storedKey, serverKey: storedKey };
  }
}

class ScramExchange implements EnhancedExchange {
  readonly #method: ScramMethod;
  readonly #request: AuthenticationRequest;
  readonly #serverNonce: string;
  #step: 'first' | 'final' | 'over' = 'first';
  #username = '';
  #header = '';
  #firstBare = '';
  #serverFirst = '';
  #nonce = '';

  constructor(method: ScramMethod, request: AuthenticationRequest, serverNonce: string) {
    this.#method = method;
    this.#request = request;
    this.#serverNonce = serverNonce;
  }

  next(data: Uint8Array | undefined): EnhancedStep {
    if (this.#step === 'over' || data === undefined || data.length > MESSAGE_BYTES_MAX) return this.#refuse();
    const text = Buffer.from(data).toString('utf8');
    return this.#step === 'first' ? this.#first(text) : this.#final(text);
  }

  /** `n,,n=<user>,r=<nonce>`: no channel binding, and nobody who would act for somebody else. */
  #first(text: string): EnhancedStep {
    const match = /^([ny],,)(n=([^,]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/.exec(text);
    const username = match === null ? undefined : unescaped(match[3] as string);
    if (match === null || username === undefined) return this.#refuse();
    this.#header = match[1] as string;
    this.#firstBare = match[2] as string;
    this.#username = username;
    this.#nonce = `${match[4]}${this.#serverNonce}`;
    const { salt, iterations } = this.#method.find(username).verifier;
    this.#serverFirst = `r=${this.#nonce},s=${salt.toString('base64')},i=${iterations}`;
    this.#step = 'final';
    return { kind: 'challenge', data: Buffer.from(this.#serverFirst) };
  }

  /** `c=<header>,r=<nonce>,p=<proof>`. */
  #final(text: string): EnhancedStep {
    const match = /^(c=([^,]*),r=([^,]*)(?:,.*)?),p=([A-Za-z0-9+/=]+)$/.exec(text);
    if (match === null || match[3] !== this.#nonce) return this.#refuse();
    if (match[2] !== Buffer.from(this.#header).toString('base64')) return this.#refuse();
    const { verifier, admitted } = this.#method.find(this.#username);
    const message = `${this.#firstBare},${this.#serverFirst},${match[1]}`;
    const signature = hmac(verifier.storedKey, message);
    const proof = Buffer.from(match[4] as string, 'base64');
    if (proof.length !== signature.length) return this.#refuse();
    for (let i = 0; i < proof.length; i++) proof[i] = (proof[i] as number) ^ (signature[i] as number);
    const isRight = timingSafeEqual(createHash('sha256').update(proof).digest(), verifier.storedKey);
    if (!isRight || admitted === undefined) return this.#refuse();
    const objection = this.#method.objection(this.#request, this.#username);
    if (objection !== undefined) return this.#refuse(objection);
    this.#step = 'over';
    const data = Buffer.from(`v=${hmac(verifier.serverKey, message).toString('base64')}`);
    return { kind: 'decided', outcome: admitted, data };
  }

  #refuse(outcome: AuthenticationOutcome = REFUSED): EnhancedStep {
    this.#step = 'over';
    return { kind: 'decided', outcome, data: undefined };
  }
}

/** `=2C` and `=3D` stand for a comma and an equals sign; another `=` is an error, and so is no name. */
function unescaped(name: string): string | undefined {
  if (name === '' || /=(?!2C|3D)/.test(name)) return undefined;
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=').normalize('NFKC');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

const REFUSED: AuthenticationOutcome = { reasonCode: ReasonCode.NOT_AUTHORIZED, identity: undefined };
const NONCE_BYTES = 18;
/** A name of 64 KiB is nobody's. */
const MESSAGE_BYTES_MAX = 4096;
/** Those of verifiers that are made here. */
const DECOY_SALT_BYTES = 16;
const DECOY_ITERATIONS = 4096;
