import type { BackupRequest, BackupResponse } from '../contract/backup.ts';
import { v1 } from '../gen/v1.ts';
import { type Codec, readerOf, reading, wireInvalid } from './codec.ts';
import { jsonBytes, parseJson } from './json.ts';
import { anyFlag, anyInteger, anyText, oneOf, typed } from './shape.ts';

const requestShape = typed<BackupRequest>({
  open: { group: anyInteger },
  read: { reading: anyInteger },
  close: { reading: anyInteger },
});

const responseShape = typed<BackupResponse>({
  opened: { reading: anyInteger },
  piece: {
    isLast: anyFlag,
    // They travel beside the JSON.
    bytes: () => {},
  },
  closed: {},
  refused: { code: oneOf('not-leader', 'busy', 'unavailable'), message: anyText, leader: anyInteger },
});

export const backupRequestCodec: Codec<BackupRequest> = {
  write(message, writer) {
    v1.BackupMessage.encode({ json: jsonBytes(message) }, writer);
  },
  read(bytes) {
    return reading('backup request', () => {
      const { json, data } = v1.BackupMessage.decode(readerOf(bytes));
      const value = parseJson(json);
      requestShape(value, 'backup request');
      if (data.length > 0) throw wireInvalid('a backup request has no data');
      return value as BackupRequest;
    });
  },
};

export const backupResponseCodec: Codec<BackupResponse> = {
  write(message, writer) {
    if (message.type !== 'piece') {
      v1.BackupMessage.encode({ json: jsonBytes(message) }, writer);
      return;
    }
    const { bytes, ...rest } = message;
    v1.BackupMessage.encode({ json: jsonBytes(rest), data: bytes }, writer);
  },
  read(bytes) {
    return reading('backup response', () => {
      const { json, data } = v1.BackupMessage.decode(readerOf(bytes));
      const value = parseJson(json);
      responseShape(value, 'backup response');
      const response = value as BackupResponse;
      if (response.type === 'piece') return { ...response, bytes: data };
      if (data.length > 0) throw wireInvalid('data that no piece speaks of');
      return response;
    });
  },
};
