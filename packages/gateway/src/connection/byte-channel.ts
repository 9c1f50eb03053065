/**
 * A network connection as the gateway sees it: bytes in order, both ways. TCP, TLS and WebSocket are adapters, tests may
 * bring their own. All calls are made in the event loop's turn that caused them; nothing is called after `closed`.
 */
export interface ByteChannel {
  readonly transport: Transport;
  /** `127.0.0.1` */
  readonly peerHost: string;
  /** `127.0.0.1:50123` */
  readonly peerName: string;
  /** Of a client that showed one which its listener's authorities have signed. */
  readonly certificate?: PeerCertificate | undefined;
  /** Written and not yet taken by the operating system. */
  readonly bufferedBytes: number;
  /** Begins to deliver bytes. Called once. */
  open(sink: ByteSink): void;
  /** One write for all chunks of a turn. They do not change afterwards. */
  write(chunks: readonly Uint8Array[]): void;
  /** A PUBLISH was taken from its bytes; for a channel that counts them. */
  published?(): void;
  /** Monotonic time until which it brought nothing of what its client may have sent, for reasons of its own. */
  readonly heldBackUntilMs?: number;
  /** No more bytes than those on their way. */
  pause(): void;
  resume(): void;
  /** Closes when the system knows that nobody is at the other end, which is not heard of while it is not read. */
  probe?(): void;
  /** Closes once everything written has been taken. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface ByteSink {
  /** What a transport may keep of a piece that it has not handed on; less before anybody is admitted. */
  readonly pieceBytesMax: number;
  /** They do not change afterwards. */
  bytes(chunk: Uint8Array): void;
  /** They are other ones when this has returned: the transport reads the next socket into the same memory. */
  lent(chunk: Buffer): void;
  /** Where the next bytes belong when they are the rest of a large packet: a transport that can puts them there. */
  readonly room: Uint8Array | undefined;
  /** So many bytes are in the room that was asked for last. */
  filled(count: number): void;
  /** The transport's own rules were broken; nothing that follows is handed on. */
  misused(why: string): void;
  /** Everything written has been taken, after it was not at once. */
  drained(): void;
  /** The last call. */
  closed(): void;
}

export type Transport = 'tcp' | 'tls' | 'ws' | 'wss';

/** Names of a verified client certificate; those that cannot be read without doubt are left out. */
export interface PeerCertificate {
  readonly commonName: string | undefined;
  readonly dns: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
}
