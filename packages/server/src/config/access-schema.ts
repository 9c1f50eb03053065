// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders are written so.
import { choice, claims, duration, file, text, toggle, triState, url, users } from './setting.ts';

/** The settings that say who may come in, and what they may do there. */
const CERTIFICATE_AS = ['none', 'username', 'clientId'] as const;
const CERTIFICATE_NAMES = ['commonName', 'dns', 'email', 'uri'] as const;
const NO_MATCH = ['auto', 'allow', 'deny'] as const;
export const DENY_ACTIONS = ['disconnect', 'ignore'] as const;
const JWT_PLACES = ['password', 'username'] as const;

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

export const auth = {
  anonymous: triState({
    about: 'Whether MQTT clients may connect without credentials, or with a user name that nothing here knows.',
    default: 'auto',
    why: 'auto allows it while no user is configured and every MQTT listener is bound to loopback.',
  }),
  users: users({
    about: 'MQTT users: a list of {username, password}.',
    default: [],
    secret: true,
    why: 'No default account that everybody knows.',
  }),
  database: toggle({
    about:
      'Whether users that the whole cluster shares may connect: those of "sluice users" and /api/v5/authentication. Asked after users and passwordFile.',
    default: false,
    why: 'Whoever asks nobody who they are needs none; with true, clients without credentials are refused.',
  }),
  certificateAs: choice(CERTIFICATE_AS, {
    about:
      'What a client certificate proves: the user name of its holder, or the client id that it may use. A name in CONNECT that differs is refused.',
    default: 'none',
    why: 'tls.clientCaFile alone says who may connect, not who is who.',
  }),
  certificateName: choice(CERTIFICATE_NAMES, {
    about: 'Which name of the certificate is meant: the common name, or its only alternative name of a kind.',
    default: 'commonName',
    why: 'The one that every certificate has.',
  }),
  certificateWithPassword: toggle({
    about: 'Whether the password, or whatever else is configured, must be right as well.',
    default: false,
    why: 'A certificate of an authority that somebody chose is proof enough.',
  }),
  passwordFile: file({
    about:
      'MQTT users, username:password a line, beside those in users; instead of a password what "sluice passwd" makes of it. Read again while the node runs.',
    why: 'Keeps secrets out of this file.',
  }),
};

export const jwt = {
  secretFile: file({
    about:
      'Tokens signed with the secret in this file (HS256, HS384, HS512) let in; at least 32 bytes, a line break at its end does not count.',
    why: 'There is none to assume.',
  }),
  publicKeyFile: file({
    about: 'Tokens signed by the owner of this public key let in: PEM; RS, PS, ES and EdDSA.',
    why: 'There is none to assume.',
  }),
  jwksFile: file({ about: 'The same for the keys of a JSON Web Key Set in a file.', why: 'There is none to assume.' }),
  jwksUrl: url({
    about:
      'The same for the keys of a JSON Web Key Set at this address. Keys that were had stay in force while it does not answer.',
    why: 'There is none to assume.',
  }),
  refresh: duration({
    about:
      'How often jwksUrl is asked for its keys; a token that no known key has signed asks earlier, at most every ten seconds.',
    default: '5m',
    min: 10 * SECOND_MS,
    max: 24 * HOUR_MS,
    why: 'Issuers announce a new key for longer before they use it.',
  }),
  from: choice(JWT_PLACES, {
    about: 'Where the token stands in CONNECT.',
    default: 'password',
    why: 'Passwords stand in no log.',
  }),
  userClaim: text({ about: 'The claim that is the user name.', default: 'sub', why: 'What the subject is for.' }),
  claims: claims({
    about: 'What claims must be, NAME=VALUE each; ${username} and ${clientid} stand for what CONNECT says.',
    default: [],
    why: 'Only who issues tokens for several services needs to tell them apart, by aud=… for one.',
  }),
  leeway: duration({
    about: 'How far the clocks of issuer and broker may differ.',
    default: '5s',
    min: 0,
    max: 300 * SECOND_MS,
    why: 'Clocks that are kept differ by less.',
  }),
};

export const authorization = {
  rulesFile: file({
    about:
      'YAML file of rules, read from the top, the first that concerns what is asked decides: permission, action, topics, and whom it concerns. Read again while the node runs.',
    why: 'Without rules there is nothing to decide by but noMatch.',
  }),
  noMatch: choice(NO_MATCH, {
    about: 'What is decided where no rule says anything.',
    default: 'auto',
    why: 'auto denies once users or a rules file are configured, and allows on a broker that asks nobody who they are.',
  }),
  denyAction: choice(DENY_ACTIONS, {
    about:
      'What becomes of a publish that is not allowed where its client cannot be told (QoS 0, MQTT 3.1.1): disconnect ends the connection, ignore acknowledges and drops it.',
    default: 'disconnect',
    why: 'An acknowledgement would say that the message is safe.',
  }),
};
