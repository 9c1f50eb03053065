import { type CharacterSet, inSet, isWordCharacter, parseRegex, RegexFault, type RegexNode } from './regex-syntax.ts';

/**
 * Regular expressions that a publisher cannot turn against us. The built-in engine backtracks: `(a+)+$` against thirty
 * letters stops the process for minutes, and screening patterns for it refuses harmless ones and lets polynomial ones
 * through. Here all alternatives advance together, one character at a time (Thompson 1968, with captures after Pike): a
 * program of m instructions looks at each of n characters at most m times. What is found is what a backtracking engine
 * finds first. A budget of steps bounds one search whatever the size of the text.
 */
export class RegexProgram {
  readonly groups: number;
  readonly #ops: readonly Instruction[];
  readonly #ignoreCase: boolean;
  /** The generation, one a character, in which an instruction was last reached. */
  readonly #reached: Float64Array;
  #generation = 0;
  #steps = 0;

  constructor(pattern: string) {
    const { root, groups, ignoreCase } = parseRegex(pattern);
    const assembler = new Assembler();
    assembler.emit({ op: 'save', slot: 0 });
    assembler.node(root);
    assembler.emit({ op: 'save', slot: 1 });
    assembler.emit({ op: 'match' });
    this.groups = groups;
    this.#ops = assembler.ops;
    this.#ignoreCase = ignoreCase;
    this.#reached = new Float64Array(assembler.ops.length);
  }

  /** Gives the searches that follow together so many steps. */
  begin(): void {
    this.#steps = REGEX_STEPS_MAX;
  }

  get exhausted(): boolean {
    return this.#steps < 0;
  }

  /**
   * The first match at or after `from`: start and end of it and of each group, -1 for a group that took no part.
   * Undefined when there is none, or when the budget ran out (`exhausted`).
   */
  search(text: string, from: number): readonly number[] | undefined {
    let found: readonly number[] | undefined;
    let threads: Thread[] = [];
    const unset: readonly number[] = new Array<number>((this.groups + 1) * 2).fill(-1);
    for (let at = from; ; ) {
      // Threads are in order of preference: the one that starts here comes last, and none starts after a match.
      if (found === undefined) {
        if (threads.length === 0) this.#generation++;
        this.#follow(threads, 0, text, at, unset);
      }
      if (this.#steps < 0 || (threads.length === 0 && found !== undefined)) break;
      const code = at < text.length ? (text.codePointAt(at) as number) : -1;
      const width = code > 0xffff ? 2 : 1;
      const next: Thread[] = [];
      this.#generation++;
      for (const thread of threads) {
        const instruction = this.#ops[thread.counter] as Instruction;
        if (instruction.op === 'match') {
          found = thread.captures;
          break;
        }
        if (instruction.op === 'set' && code >= 0 && this.#accepts(instruction.set, code)) {
          this.#follow(next, thread.counter + 1, text, at + width, thread.captures);
        }
      }
      if (code < 0) break;
      threads = next;
      at += width;
    }
    return this.#steps < 0 ? undefined : found;
  }

  /** Adds the instructions reachable without a character, in order of preference. */
  #follow(threads: Thread[], counter: number, text: string, at: number, captures: readonly number[]): void {
    if (this.#reached[counter] === this.#generation) return;
    this.#reached[counter] = this.#generation;
    this.#steps--;
    const instruction = this.#ops[counter] as Instruction;
    switch (instruction.op) {
      case 'set':
      case 'match':
        threads.push({ counter, captures });
        return;
      case 'jump':
        this.#follow(threads, instruction.to, text, at, captures);
        return;
      case 'split':
        this.#follow(threads, instruction.first, text, at, captures);
        this.#follow(threads, instruction.second, text, at, captures);
        return;
      case 'save': {
        const saved = captures.slice();
        saved[instruction.slot] = at;
        this.#follow(threads, counter + 1, text, at, saved);
        return;
      }
      case 'assert':
        if (holds(instruction.of, text, at)) this.#follow(threads, counter + 1, text, at, captures);
        return;
    }
  }

  #accepts(set: CharacterSet, code: number): boolean {
    if (!this.#ignoreCase) return inSet(set, code);
    const character = String.fromCodePoint(code);
    const lower = character.toLowerCase().codePointAt(0) as number;
    const upper = character.toUpperCase().codePointAt(0) as number;
    if (set.negated) return inSet(set, code) && inSet(set, lower) && inSet(set, upper);
    return inSet(set, code) || inSet(set, lower) || inSet(set, upper);
  }
}

/** For one call of a function, over all its searches: five to eight milliseconds at most. */
const REGEX_STEPS_MAX = 1 << 18;
const PROGRAM_LENGTH_MAX = 2_000;

interface Thread {
  counter: number;
  captures: readonly number[];
}

type Assertion = Extract<RegexNode, { kind: 'assertion' }>['of'];

type Instruction =
  | { op: 'set'; set: CharacterSet }
  | { op: 'match' }
  | { op: 'jump'; to: number }
  | { op: 'split'; first: number; second: number }
  | { op: 'save'; slot: number }
  | { op: 'assert'; of: Assertion };

function holds(assertion: Assertion, text: string, at: number): boolean {
  if (assertion === 'start') return at === 0;
  if (assertion === 'end') return at === text.length;
  const before = at > 0 && isWordCharacter(text.charCodeAt(at - 1));
  const after = at < text.length && isWordCharacter(text.charCodeAt(at));
  return (before !== after) === (assertion === 'boundary');
}

class Assembler {
  readonly ops: Instruction[] = [];

  emit(instruction: Instruction): number {
    if (this.ops.length >= PROGRAM_LENGTH_MAX) throw new RegexFault('too large once its repetitions are written out');
    return this.ops.push(instruction) - 1;
  }

  node(node: RegexNode): void {
    switch (node.kind) {
      case 'empty':
        return;
      case 'set':
        this.emit({ op: 'set', set: node.set });
        return;
      case 'assertion':
        this.emit({ op: 'assert', of: node.of });
        return;
      case 'sequence':
        for (const item of node.items) this.node(item);
        return;
      case 'group':
        if (node.index !== undefined) this.emit({ op: 'save', slot: node.index * 2 });
        this.node(node.body);
        if (node.index !== undefined) this.emit({ op: 'save', slot: node.index * 2 + 1 });
        return;
      case 'alternatives':
        this.#alternatives(node.items);
        return;
      case 'repeat':
        this.#repeat(node.body, node.least, node.most, node.greedy);
        return;
    }
  }

  #alternatives(items: readonly RegexNode[]): void {
    const ends: number[] = [];
    for (let i = 0; i < items.length; i++) {
      const last = i === items.length - 1;
      const split = last ? -1 : this.emit({ op: 'split', first: 0, second: 0 });
      this.node(items[i] as RegexNode);
      if (last) break;
      ends.push(this.emit({ op: 'jump', to: 0 }));
      this.ops[split] = { op: 'split', first: split + 1, second: this.ops.length };
    }
    for (const end of ends) this.ops[end] = { op: 'jump', to: this.ops.length };
  }

  #repeat(body: RegexNode, least: number, most: number, greedy: boolean): void {
    for (let i = 0; i < least; i++) this.node(body);
    if (most === Number.POSITIVE_INFINITY) {
      const loop = this.emit({ op: 'split', first: 0, second: 0 });
      this.node(body);
      this.emit({ op: 'jump', to: loop });
      this.#choose(loop, this.ops.length, greedy);
      return;
    }
    const splits: number[] = [];
    for (let i = least; i < most; i++) {
      splits.push(this.emit({ op: 'split', first: 0, second: 0 }));
      this.node(body);
    }
    for (const split of splits) this.#choose(split, this.ops.length, greedy);
  }

  #choose(split: number, exit: number, greedy: boolean): void {
    const enter = split + 1;
    this.ops[split] = greedy
      ? { op: 'split', first: enter, second: exit }
      : { op: 'split', first: exit, second: enter };
  }
}
