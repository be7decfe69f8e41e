/** As a query's only parameter: the statement is run once with each line, a JSON list of its values. For SQLite. */
export class ParameterLines {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}
