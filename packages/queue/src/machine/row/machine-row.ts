import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { MACHINE_VERSION } from '../versions.ts';

/** varint machine version, u53 time of the partition. */
export function decodeMachineRow(value: Uint8Array): { version: number; nowMs: number } {
  const reader = new ByteReader(value);
  const version = reader.varint();
  if (version === 0 || version > MACHINE_VERSION) {
    throw new SluiceError('MACHINE_VERSION_UNKNOWN', `the partition is of machine version ${version}`, {
      hint: `this release knows versions up to ${MACHINE_VERSION}: upgrade this node`,
    });
  }
  return { version, nowMs: reader.u53() };
}

/** Every turn of a partition moves its time. */
const scratch = new ByteWriter(12);

export function encodeMachineRow(version: number, nowMs: number): Uint8Array {
  return scratch.restart().varint(version).u53(nowMs).finish();
}
