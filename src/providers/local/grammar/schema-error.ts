/** The schema has a keyword that a grammar cannot express, or cannot be met at all. */
export class SchemaError extends Error {
  /** Path of the keyword: `properties.tags.uniqueItems`. */
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** As an expression: `found ?? refuse(path, 'why')`. */
export function refuse(path: string, message: string): never {
  throw new SchemaError(path, message);
}
