/** PEM, as read from files. Both sides show a certificate of this authority; without it nothing is encrypted. */
export interface TlsFiles {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}
