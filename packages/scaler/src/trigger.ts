/**
 * What the author of a ScaledObject asks for, from the metadata of its trigger: words in a YAML file that nobody has
 * checked. A key that is misspelt must not be passed over in silence: the fleet would scale by a default, or never.
 */
export interface Trigger {
  readonly queue: string;
  /** What one worker's share is. */
  readonly share: Share;
  /** Messages that are with a worker count: the last one's worker is not taken away while it works. */
  readonly includeInflight: boolean;
  /** More messages than this wake the first worker. */
  readonly activation: number;
}

/** So many messages each; or as many workers as finish what waits within so many seconds, at the pace they have shown. */
export type Share = { readonly messages: number } | { readonly lagSeconds: number };

const MESSAGES_A_WORKER = 10;

const KEYS = ['queue', 'target', 'targetLagSeconds', 'includeInflight', 'activation'];
/** KEDA's own, in the same map. */
const KEDA_KEYS = ['scalerAddress', 'enableTLS', 'unsafeSsl', 'caCert', 'tlsClientCert', 'tlsClientKey'];

/** @returns what is wrong with it, in a sentence for its author, as a text. */
export function readTrigger(metadata: ReadonlyMap<string, string>): Trigger | string {
  for (const key of metadata.keys()) {
    if (!KEYS.includes(key) && !KEDA_KEYS.includes(key)) {
      return `${JSON.stringify(key)} is not a setting of this trigger; it has ${KEYS.join(', ')}`;
    }
  }
  const queue = metadata.get('queue') ?? '';
  if (queue === '') return 'queue is missing: the name of the queue whose workers are scaled';
  if (metadata.has('target') && metadata.has('targetLagSeconds')) {
    return 'target and targetLagSeconds are two ways to say one thing: give one of them';
  }
  const target = readNumber(metadata, 'target', MESSAGES_A_WORKER);
  if (typeof target === 'string') return target;
  if (target === 0) return 'target must be above 0: how many messages are one worker’s share';
  const lagSeconds = readNumber(metadata, 'targetLagSeconds', 0);
  if (typeof lagSeconds === 'string') return lagSeconds;
  if (metadata.has('targetLagSeconds') && lagSeconds === 0) {
    return 'targetLagSeconds must be above 0: within how many seconds what waits is to be done';
  }
  const activation = readNumber(metadata, 'activation', 0);
  if (typeof activation === 'string') return activation;
  const includeInflight = metadata.get('includeInflight') ?? 'true';
  if (includeInflight !== 'true' && includeInflight !== 'false') return 'includeInflight is "true" or "false"';
  return {
    queue,
    share: lagSeconds > 0 ? { lagSeconds } : { messages: target },
    includeInflight: includeInflight === 'true',
    activation,
  };
}

function readNumber(metadata: ReadonlyMap<string, string>, key: string, otherwise: number): number | string {
  const text = metadata.get(key);
  if (text === undefined) return otherwise;
  return /^\d+(\.\d+)?$/.test(text) && text.length <= 15
    ? Number(text)
    : `${key} must be a number, and is ${JSON.stringify(text)}`;
}
