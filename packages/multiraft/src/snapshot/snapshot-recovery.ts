import { join } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { readNote } from '@sluice/storage/note-file';
import { finishWipes } from '../replica/replica-wipe.ts';
import { isLeftover, noteGroups, notePath } from './snapshot-files.ts';
import { finishInstallations, type InstallStorage } from './snapshot-install.ts';

/**
 * What an earlier life of the node left half done with its replicas: wipes and installations are carried out, files of
 * transfers that did not end are removed. @returns the replicas that must not be trusted, and why
 */
export async function recoverReplicas(storage: InstallStorage, logger: Logger): Promise<Map<number, Error>> {
  const { imageDirectory, files } = storage;
  const impaired = await finishWipes(storage);
  for (const [groupId, cause] of await finishInstallations(storage, logger)) impaired.set(groupId, cause);
  const names = await files.list(imageDirectory);
  for (const name of names) if (isLeftover(name)) await files.unlink(join(imageDirectory, name));
  for (const groupId of noteGroups(names, 'impaired')) {
    if (!impaired.has(groupId)) impaired.set(groupId, await notedCause(storage, groupId));
  }
  return impaired;
}

async function notedCause({ imageDirectory, files }: InstallStorage, groupId: number): Promise<Error> {
  let text = 'the replica was found impaired earlier';
  try {
    const note = await readNote(notePath(imageDirectory, groupId, 'impaired'), files);
    if (note !== undefined) text = Buffer.from(note).toString('utf8');
  } catch (cause) {
    // That it is there says enough.
    if (!(cause instanceof SluiceError) || cause.code !== 'NOTE_DAMAGED') throw cause;
  }
  return new SluiceError('REPLICA_IMPAIRED', text, {
    hint: 'the coordinator exchanges this replica; its peers have what it should hold',
  });
}
