import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tool } from '../harness/left-out.ts';

/** `PATH` of a plain user lacks where Debian keeps the file system tools. */
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const FILL_BYTES = 1024 * 1024;
const UNMOUNT_ATTEMPTS = 50;

/**
 * `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: the file system ends without writing anything more, not even
 * its journal. What was not synced by then is gone, as when the power fails.
 */
const SHUTDOWN = `
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))
`;

/**
 * A disk of its own for a broker, in a file: it can be small, and it can lose its power. Whatever happens to the test,
 * nothing stays mounted: `dispose` may be called in any state, and an exit of the process calls it too.
 */
export class LoopDisk {
  readonly mountPoint: string;
  readonly #folder: string;
  readonly #image: string;
  readonly #filler: string;
  #mounted = false;
  readonly #atExit = () => this.dispose();
  readonly #onSignal = () => process.exit(1);

  constructor(sizeBytes: number) {
    sweep();
    this.#folder = mkdtempSync(join(tmpdir(), `sluice-disk-${process.pid}-`));
    this.#image = join(this.#folder, 'image');
    this.mountPoint = join(this.#folder, 'mount');
    this.#filler = join(this.mountPoint, 'filler');
    process.once('exit', this.#atExit);
    for (const signal of SIGNALS) process.once(signal, this.#onSignal);
    try {
      writeFileSync(this.#image, '');
      truncateSync(this.#image, sizeBytes);
      // No blocks kept back for root: the test is root, and full must mean full.
      run('mkfs.ext4', ['-q', '-F', '-m', '0', this.#image]);
      run('mkdir', [this.mountPoint]);
      this.mount();
    } catch (cause) {
      this.dispose();
      throw cause;
    }
  }

  mount(): void {
    run('mount', ['-o', 'loop', this.#image, this.mountPoint]);
    this.#mounted = true;
  }

  /** Processes that used it must have ended; the kernel may take a moment to let go. */
  unmount(): void {
    for (let attempt = 1; this.#mounted; attempt++) {
      const { status, stderr } = spawnSync('umount', [this.mountPoint], { env: ENV, encoding: 'utf8' });
      if (status === 0) this.#mounted = false;
      else if (attempt === UNMOUNT_ATTEMPTS) throw new Error(`umount ${this.mountPoint}: ${stderr}`);
      else spawnSync('sleep', ['0.1']);
    }
  }

  /** Everything written so far is on the disk from now on. */
  flush(): void {
    run('sync', ['-f', this.mountPoint]);
  }

  losePower(): void {
    run('python3', ['-c', SHUTDOWN, this.mountPoint]);
  }

  /** Something else takes the space, to the last byte. It may be called again when space came back. */
  fill(): void {
    const fd = openSync(this.#filler, 'a');
    try {
      for (let bytes = FILL_BYTES; bytes >= 1; ) {
        try {
          if (writeSync(fd, Buffer.alloc(bytes)) < bytes) bytes >>= 1;
        } catch (cause) {
          if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
          bytes >>= 1;
        }
      }
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** The same in a process of its own: clients of this one go on meanwhile. */
  async fillAside(): Promise<void> {
    const writes = ['1M', '4k', '1'].map((block) => `dd if=/dev/zero bs=${block} status=none >> "$0"`);
    const child = spawn('sh', ['-c', `${writes.join('; ')}; sync -d "$0"`, this.#filler], {
      env: ENV,
      stdio: 'ignore',
    });
    await once(child, 'exit');
  }

  removeFiller(): void {
    rmSync(this.#filler, { force: true });
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.mountPoint);
    return bavail * bsize;
  }

  /** Comes back as after a power failure: the journal is replayed. */
  restorePower(): void {
    this.unmount();
    this.mount();
    // Whoever else holds the file system keeps it as it was, without power.
    accessSync(this.mountPoint, constants.R_OK);
    readdirSync(this.mountPoint);
  }

  dispose(): void {
    process.off('exit', this.#atExit);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    this.unmount();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What a run that was killed left behind. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = /^sluice-disk-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const folder = join(tmpdir(), name);
    spawnSync('umount', [join(folder, 'mount')], { env: ENV, stdio: 'ignore' });
    // Never into a disk that is still there.
    if (!readFileSync('/proc/mounts', 'utf8').includes(`${folder}/`)) rmSync(folder, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { env: ENV, stdio: ['ignore', 'ignore', 'pipe'] });
}

let reason: string | undefined;

/** Whether this machine can do all of it: tried once, on a disk of a few megabytes. */
export const LOOP_DISK: Tool = {
  name: 'a loop-mounted ext4 disk',
  install: 'run as root with loop devices; apt-get install e2fsprogs mount python3',
  isPresent() {
    if (reason === undefined) {
      reason = '';
      try {
        const disk = new LoopDisk(8 * 1024 * 1024);
        try {
          disk.losePower();
          disk.restorePower();
        } finally {
          disk.dispose();
        }
      } catch (cause) {
        reason = String(cause);
      }
    }
    return reason === '';
  },
};
