/** Numbers as NumPy and Python compute them: tables of single precision, rounding to even, sums of logarithms. */

/** A table of numbers in single precision, row after row. */
export interface Rows {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** Returns the rows from `start` to before `end` of a table, which shares its memory. */
export function slice(table: Rows, start: number, end: number): Rows {
  const stop = Math.max(start, end);
  return {
    data: table.data.subarray(start * table.columns, stop * table.columns),
    rows: stop - start,
    columns: table.columns,
  };
}

/** Returns the nearest whole number; of two equally near ones the even one, as Python's `round` does. */
export function round(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** Returns ln(exp(a) + exp(b)). */
export function logAddExp(a: number, b: number): number {
  if (a === b) return a + Math.LN2;
  const high = Math.max(a, b);
  if (high === -Infinity) return -Infinity;
  return high + Math.log1p(Math.exp(-Math.abs(a - b)));
}

/** Returns the median of some numbers; NaN if one of them is NaN. */
export function median(values: readonly number[]): number {
  if (values.some(Number.isNaN)) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Returns the index of the largest number of a row of a table, the first of equal ones; that of a NaN if there is one. */
export function argmax(table: Rows, row: number): number {
  const start = row * table.columns;
  let best = 0;
  for (let column = 0; column < table.columns; column++) {
    const value = table.data[start + column];
    if (Number.isNaN(value)) return column;
    if (value > table.data[start + best]) best = column;
  }
  return best;
}

/** Returns the product of some numbers. */
export function product(values: readonly number[]): number {
  return values.reduce((all, value) => all * value, 1);
}
