/**
 * A defect of one line, put into the sources of one test run and nowhere else. Each is a mistake that somebody made in
 * some consensus or queue implementation, or easily could: a suite that lets one live would not have found it either.
 */
export interface PlantedBug {
  /** Says what is wrong with the planted code. */
  name: string;
  /** Below the repository. */
  file: string;
  /** Occurs once in the file. */
  find: string;
  put: string;
}

/** The tests that have to kill the bugs of a list. */
export interface PlantedBugs {
  /** Where jest looks for tests. */
  tests: string;
  bugs: readonly PlantedBug[];
}
