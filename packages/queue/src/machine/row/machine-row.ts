import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { MACHINE_VERSION, MACHINE_VERSION_OF_REMOVALS } from '../versions.ts';

/** What stands in it. */
export interface MachineRow {
  version: number;
  nowMs: number;
  removalEpoch: number;
}

/** varint machine version, u53 time of the partition; from version 10 on, varint epoch that a removal named. */
export function decodeMachineRow(value: Uint8Array): MachineRow {
  const reader = new ByteReader(value);
  const version = reader.varint();
  if (version === 0 || version > MACHINE_VERSION) {
    throw new SluiceError('MACHINE_VERSION_UNKNOWN', `the partition is of machine version ${version}`, {
      hint: `this release knows versions up to ${MACHINE_VERSION}: upgrade this node`,
    });
  }
  return {
    version,
    nowMs: reader.u53(),
    removalEpoch: version >= MACHINE_VERSION_OF_REMOVALS ? reader.varint() : 0,
  };
}

/** Every turn of a partition moves its time. */
const scratch = new ByteWriter(20);

export function encodeMachineRow({ version, nowMs, removalEpoch }: MachineRow): Uint8Array {
  const writer = scratch.restart().varint(version).u53(nowMs);
  if (version >= MACHINE_VERSION_OF_REMOVALS) writer.varint(removalEpoch);
  return writer.finish();
}
