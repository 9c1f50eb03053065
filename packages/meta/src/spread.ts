/**
 * Puts the units of rows on columns: replicas of partitions on nodes, leaders on replicas, consumers on partitions. The
 * wishes, in this order: the units of a row stand on different columns, and as evenly as can be over groups of columns
 * (racks); no column carries more than it must; what edges cost is little (0 for what stays, 1 for what moves).
 *
 * Greedy choices end in corners: the last partitions find only nodes of one rack, and getting out again moves what need
 * not move. This is a flow of least cost, found unit by unit along shortest paths: a path may push earlier units aside,
 * so that the end is the best there is, whatever the order. The wishes are weights so far apart that no number of
 * lesser ones outweighs a greater one within a path.
 *
 * Costs milliseconds for 16 rows and a tenth of a second for hundreds, growing with their square: for decisions that are
 * rare, and not for thousands of rows at once.
 */
export function spread(task: SpreadTask): number[][] {
  return new Spread(task).run();
}

export interface SpreadTask {
  /** Units each row wants. It gets fewer only when there are no more columns for it. */
  unitsOfRow: readonly number[];
  columns: number;
  /** Group of each column, from 0 on. */
  groupOfColumn: readonly number[];
  /** What each column carries already, of rows that are not part of this task. */
  baseLoads: readonly number[];
  /** Undefined: the row cannot stand there. */
  cost(row: number, column: number): SpreadCost | undefined;
}

/** `stays`: it is there already. `moves`: it would be new. `avoids`: new, and only where even the balance suffers else. */
export type SpreadCost = 'stays' | 'moves' | 'avoids';

const NOT_REACHED = Number.POSITIVE_INFINITY;

class Spread {
  readonly #task: SpreadTask;
  readonly #rows: number;
  readonly #columns: number;
  readonly #groups: number;
  /** Columns of each row that are taken. */
  readonly #taken: boolean[][];
  readonly #edge: number[][];
  readonly #loadOfColumn: number[];
  readonly #loadOfRowGroup: number[];
  readonly #balanceWeight: number;
  readonly #groupWeight: number;

  constructor(task: SpreadTask) {
    this.#task = task;
    this.#rows = task.unitsOfRow.length;
    this.#columns = task.columns;
    this.#groups = Math.max(0, ...task.groupOfColumn) + 1;
    this.#loadOfColumn = [...task.baseLoads];
    this.#loadOfRowGroup = new Array<number>(this.#rows * this.#groups).fill(0);
    const pathMax = 2 * (this.#rows + this.#columns) + 2;
    this.#balanceWeight = pathMax;
    const avoidWeight = this.#balanceWeight * (2 * (this.#rows + Math.max(0, ...task.baseLoads)) + 2);
    this.#groupWeight = avoidWeight * pathMax;
    const weights = { stays: 0, moves: 1, avoids: avoidWeight };
    this.#taken = task.unitsOfRow.map(() => new Array<boolean>(this.#columns).fill(false));
    this.#edge = task.unitsOfRow.map((_, row) =>
      Array.from({ length: this.#columns }, (__, column) => {
        const cost = task.cost(row, column);
        return cost === undefined ? NOT_REACHED : weights[cost];
      }),
    );
  }

  run(): number[][] {
    const most = Math.max(0, ...this.#task.unitsOfRow);
    for (let unit = 0; unit < most; unit++) {
      for (let row = 0; row < this.#rows; row++) if (unit < (this.#task.unitsOfRow[row] as number)) this.#place(row);
    }
    return this.#taken.map((columns) => columns.flatMap((taken, column) => (taken ? [column] : [])));
  }

  /**
   * Vertices: rows, then pairs of row and group, then columns. The shortest way from the row to a column and off it,
   * over what is free and back over what is taken; then everything on that way changes over.
   */
  #place(start: number): void {
    const rows = this.#rows;
    const groups = this.#groups;
    const firstColumn = rows + rows * groups;
    const distance = new Array<number>(firstColumn + this.#columns).fill(NOT_REACHED);
    const from = new Array<number>(distance.length).fill(-1);
    const queued = new Array<boolean>(distance.length).fill(false);
    const queue: number[] = [start];
    distance[start] = 0;
    const relax = (at: number, to: number, weight: number): void => {
      const candidate = (distance[at] as number) + weight;
      if (candidate >= (distance[to] as number)) return;
      distance[to] = candidate;
      from[to] = at;
      if (!queued[to]) {
        queued[to] = true;
        queue.push(to);
      }
    };
    for (let head = 0; head < queue.length; head++) {
      const at = queue[head] as number;
      queued[at] = false;
      if (at < rows) {
        for (let group = 0; group < groups; group++) {
          const pair = at * groups + group;
          relax(at, rows + pair, this.#groupWeight * (2 * (this.#loadOfRowGroup[pair] as number) + 1));
        }
      } else if (at < firstColumn) {
        const pair = at - rows;
        const row = Math.floor(pair / groups);
        const group = pair % groups;
        const load = this.#loadOfRowGroup[pair] as number;
        if (load > 0) relax(at, row, -this.#groupWeight * (2 * load - 1));
        const taken = this.#taken[row] as boolean[];
        const edges = this.#edge[row] as number[];
        for (let column = 0; column < this.#columns; column++) {
          if (this.#task.groupOfColumn[column] !== group || taken[column]) continue;
          relax(at, firstColumn + column, edges[column] as number);
        }
      } else {
        const column = at - firstColumn;
        const group = this.#task.groupOfColumn[column] as number;
        for (let row = 0; row < rows; row++) {
          if (!this.#taken[row]?.[column]) continue;
          relax(at, rows + row * groups + group, -(this.#edge[row]?.[column] as number));
        }
      }
    }
    this.#changeOver(distance, from, firstColumn);
  }

  #changeOver(distance: readonly number[], from: readonly number[], firstColumn: number): void {
    let best = -1;
    let least = NOT_REACHED;
    for (let column = 0; column < this.#columns; column++) {
      const off = this.#balanceWeight * (2 * (this.#loadOfColumn[column] as number) + 1);
      const whole = (distance[firstColumn + column] as number) + off;
      if (whole >= least) continue;
      least = whole;
      best = column;
    }
    if (best < 0) return;
    this.#loadOfColumn[best] = (this.#loadOfColumn[best] as number) + 1;
    for (let at = firstColumn + best; from[at] !== -1; at = from[at] as number) {
      this.#take(from[at] as number, at, firstColumn);
    }
  }

  #take(at: number, to: number, firstColumn: number): void {
    const rows = this.#rows;
    if (at < rows) this.#addToPair(to - rows, 1);
    else if (to < rows) this.#addToPair(at - rows, -1);
    else if (to >= firstColumn) this.#mark(at - rows, to - firstColumn, true);
    else this.#mark(to - rows, at - firstColumn, false);
  }

  #addToPair(pair: number, change: number): void {
    this.#loadOfRowGroup[pair] = (this.#loadOfRowGroup[pair] as number) + change;
  }

  #mark(pair: number, column: number, taken: boolean): void {
    (this.#taken[Math.floor(pair / this.#groups)] as boolean[])[column] = taken;
  }
}
