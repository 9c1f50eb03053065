import { SluiceError } from '@sluice/common/errors';

/**
 * What a cluster may write while its nodes are of different builds. An entry, a row or a request of a form that a node
 * does not know stops that node, so a form is not written because the writer knows it, but because everybody does. A
 * version number of the software does not say that: nobody can tell from one what another build reads.
 *
 * So forms have levels, and the cluster has one, in its metadata: the lowest of what all its nodes support. It only goes
 * up. Whoever is about to write a form that came with a later level asks `allows` with the level of the image it has; an
 * image is never ahead of the metadata, so who asks too early writes the former form once more.
 *
 * The list: a level, and what is written from it on. It grows at its end. A level that a build on the main line supports
 * is closed: what comes next gets the next one. When the code that writes former forms goes, so does `min`.
 */
const LEVELS = [
  /** Everything that was written before clusters had a level. */
  { level: 1, forms: [] },
  /**
   * The metadata keeps a level: rows of its head in format 3, and the command that holds it. Sessions end in portions: an
   * open, a close and an expire that say so, and machine version 9 of the partition.
   */
  { level: 2, forms: ['hold-feature-level', 'session-ends-in-portions'] },
  /** The removal of a queue names the epoch of the image that lacks it, and machine version 10 of the partition keeps it. */
  { level: 3, forms: ['removal-names-epoch'] },
  /** A consumer of a gateway says up to which size it takes records, and which one turned out to be too large. */
  { level: 4, forms: ['consumer-says-size'] },
] as const satisfies readonly { level: number; forms: readonly string[] }[];

/** What is only written from a level on. */
export type LevelledForm = (typeof LEVELS)[number]['forms'][number];

/** The levels under which a node can take part. */
export interface LevelRange {
  readonly min: number;
  readonly max: number;
}

/** Of the cluster, as the metadata has it. */
export interface FeatureLevel {
  readonly level: number;
  /** An operator wants it to stay, so that nodes of a former build may come back. */
  readonly isHeld: boolean;
}

/** Of a cluster whose metadata says none. */
export const FIRST_LEVEL: FeatureLevel = { level: 1, isHeld: false };

/** Of a node that says none: it is of a build from before there were levels. */
export const UNTOLD_LEVELS: LevelRange = { min: 1, max: 1 };

/** Of this build. */
export const SUPPORTED_LEVELS: LevelRange = { min: LEVELS[0].level, max: (LEVELS.at(-1) as { level: number }).level };

const LEVEL_OF: ReadonlyMap<string, number> = new Map(
  LEVELS.flatMap(({ level, forms }) => forms.map((form) => [form, level] as const)),
);

/** Whether every node of a cluster at `level` knows the form. */
export function allows({ level }: FeatureLevel, form: LevelledForm): boolean {
  return level >= (LEVEL_OF.get(form) as number);
}

export function includes({ min, max }: LevelRange, level: number): boolean {
  return min <= level && level <= max;
}

/** Why a node with these levels cannot take part in a cluster at `level`, and what to do. */
export function levelUnsupported(level: number, { min, max }: LevelRange): SluiceError {
  const supported = min === max ? `level ${min}` : `levels ${min} to ${max}`;
  const hint =
    level > max
      ? 'start a build that supports it, on the same data: the level of a cluster never goes down'
      : `upgrade to a build between first: sluice cluster status of a node that runs shows what holds the level at ${level}`;
  const message = `the cluster is at feature level ${level}, and this build supports ${supported}`;
  return new SluiceError('FEATURE_LEVEL_UNSUPPORTED', message, { hint });
}
