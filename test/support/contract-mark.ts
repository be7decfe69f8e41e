/** Stands before each finding of contract-hook.ts in the log of a server process; the rest of the line is JSON. */
export const mark = 'NOT THE CONTRACT: ';
