/** Beyond it a message is refused by whoever would receive it. An image of a million queues is the largest there is. */
export const MESSAGE_BYTES_MAX = 128 * 1024 * 1024;
/** What is sent in one turn is gathered into frames of about this size: one gRPC message, one write. */
export const FRAME_BYTES = 1024 * 1024;
/** A channel whose peer takes nothing is closed here; senders with a bound of their own keep below it by `unsentBytes`. */
export const UNSENT_BYTES_MAX = 512 * 1024 * 1024;

/**
 * What a peer may send on a stream, and on a connection, that was not read yet; a stream nobody reads holds as much. By
 * HTTP/2's own 64 KiB an image stops four times for leave to go on.
 */
export const WINDOW_BYTES = 4 * 1024 * 1024;

/** A peer is asked with the first or second look that finds nothing new of it, and gone with the last of so many: within 3.5 s. */
export const SILENCE_LOOK_MS = 500;
export const SILENT_LOOKS = 6;
/** Of a question, an answer and a byte of window between two looks, each in a TLS record of its own. */
export const SIGN_BYTES_MAX = 256;
/** For a stream to be accepted, the connection included. */
export const OPENING_TIMEOUT_MS = 4_000;
/** For a stream that was closed to be closed by the other side too. */
export const CLOSING_TIMEOUT_MS = 2_000;
export const CALL_TIMEOUT_MS = 10_000;
/** After an attempt to connect that failed; a peer that restarts is found again within it. */
export const RECONNECT_PAUSE_MS = 50;
/** A connection nobody uses any more is given up: its node may have moved. */
export const LINK_IDLE_MS = 30_000;

export const CONNECTIONS_MAX = 4_096;
export const STREAMS_PER_CONNECTION_MAX = 4_096;
/** From a new connection to its first bytes, or to the end of its TLS handshake. */
export const GREETING_TIMEOUT_MS = 5_000;
