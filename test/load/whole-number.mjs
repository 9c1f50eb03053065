/** Of a command line: what is none would be a run of nothing that held every bar. */
export function wholeNumber(text, name) {
  if (!/^\d+$/.test(text)) throw new Error(`--${name} must be a whole number, and is ${text}`);
  return Number(text);
}
