import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import { listImages, readImage } from '@sluice/storage/image-file';
import type { Replica } from '../replica/replica.ts';
import type { ImageKeeper } from './image-keeper.ts';
import type { NodeStorage } from './node-storage.ts';

/**
 * Reads every image once after the start, and writes those anew that are damaged. An image is wanted only when the
 * engine's state is lost; damage that is found then is found too late, while now the rows it was made of are still there.
 *
 * Some seconds after the start, because nothing waits for it and whoever restarts a broker does.
 */
export class ImageCheck {
  readonly #storage: NodeStorage;
  readonly #imageKeeper: ImageKeeper;
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #logger: Logger;
  readonly #damaged: Counter;
  readonly #delayMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopping = false;

  static readonly DELAY_MS = 5_000;

  constructor(options: {
    storage: NodeStorage;
    imageKeeper: ImageKeeper;
    replicas: ReadonlyMap<number, Replica>;
    logger: Logger;
    metrics: Metrics;
    delayMs: number;
  }) {
    this.#storage = options.storage;
    this.#imageKeeper = options.imageKeeper;
    this.#replicas = options.replicas;
    this.#logger = options.logger;
    this.#delayMs = options.delayMs;
    this.#damaged = options.metrics.counter(
      'sluice_storage_damaged_images_total',
      'Images that were found damaged, and written anew',
    );
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#run().catch((err: unknown) => this.#logger.warn({ err }, 'images could not be checked'));
    }, this.#delayMs);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { entryLog, files, imageDirectory } = this.#storage;
    const { images } = await listImages(imageDirectory, files);
    const whole = new Set<number>();
    for (const { header, path } of images) {
      if (this.#stopping) return;
      // Behind an older one entries are missing.
      const isContinued = header.index >= entryLog.firstIndex(header.groupId) - 1;
      if (isContinued && (await this.#isWhole(path))) whole.add(header.groupId);
    }
    for (const [groupId, replica] of this.#replicas) {
      // A log that begins at its start needs no image.
      if (this.#stopping || whole.has(groupId) || entryLog.firstIndex(groupId) === 1) continue;
      if (replica.stopped !== undefined) continue;
      this.#damaged.add();
      await this.#imageKeeper.renew(replica);
      this.#logger.info({ group: groupId }, 'a damaged image was written anew');
    }
  }

  async #isWhole(path: string): Promise<boolean> {
    try {
      for await (const _rows of (await readImage(path, this.#storage.files)).chunks) if (this.#stopping) return true;
      return true;
    } catch (cause) {
      // It may have made room for a newer one.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return true;
      if (!(cause instanceof SluiceError) || cause.code !== 'IMAGE_DAMAGED') throw cause;
      this.#logger.error({ err: cause, path }, 'an image is damaged');
      return false;
    }
  }
}
