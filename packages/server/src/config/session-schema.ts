import { duration, integer, size } from './setting.ts';

const SECOND_MS = 1000;
const MEGABYTE = 1024 * 1024;
const GIGABYTE = 1024 * MEGABYTE;
/** A message a second for a day. */
const DEFAULT_STREAM_COUNT_MAX = 100_000;

/** Of sessions that outlive their connection. */
export const sessions = {
  streamMaxCount: integer({
    about:
      'Messages kept for one topic filter of the sessions of a partition, until all of these have received them. Beyond it the oldest go.',
    default: DEFAULT_STREAM_COUNT_MAX,
    min: 1,
    max: 1_000_000_000,
    why: 'A client that never comes back must not fill the disk; a message a second lasts for a day.',
  }),
  streamMaxSize: size({
    about:
      'Likewise in bytes; at least mqtt.maximumPacketSize and 128 KB, or one message would drop all others and itself.',
    default: '256MB',
    min: MEGABYTE,
    max: 1024 * GIGABYTE,
    why: 'A hundred thousand messages of two kilobytes and a half.',
  }),
  expiryWithoutProperty: duration({
    about: 'How long a session is kept for a client of MQTT 3.1 or 3.1.1 that is away and did not ask for a clean one.',
    default: '7d',
    min: SECOND_MS,
    max: 10_000 * 24 * 3600 * SECOND_MS,
    why: 'Those versions cannot say; who is away for longer is not expected back. MQTT 5 clients say it themselves.',
  }),
};
