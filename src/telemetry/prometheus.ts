/**
 * Counters and histograms that cost nothing to feed: a series is looked up once by whoever holds it, feeding is an addition.
 * Source of the text format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */

export type Labels = Record<string, string>;
export type Series = { add(value: number): void };

export type Family = {
  /** The series of these labels; hold on to it. */
  series(labels: Labels): Series;
  text(): string;
};

export function counter(name: string, help: string): Family {
  const values = new Map<string, { sum: number }>();
  return {
    series(labels) {
      const state = remember(values, format(labels), () => ({ sum: 0 }));
      return {
        add(value) {
          state.sum += value;
        },
      };
    },
    text: () =>
      head(name, help, 'counter') +
      [...values].map(([labels, { sum }]) => `${name}${braces(labels)} ${sum}\n`).join(''),
  };
}

/** `bounds`: upper bounds of the buckets, ascending. */
export function histogram(name: string, help: string, bounds: readonly number[]): Family {
  const values = new Map<string, { buckets: number[]; sum: number; count: number }>();
  return {
    series(labels) {
      const state = remember(values, format(labels), () => ({ buckets: bounds.map(() => 0), sum: 0, count: 0 }));
      return {
        add(value) {
          state.sum += value;
          state.count++;
          const at = bounds.findIndex((bound) => value <= bound);
          if (at !== -1) state.buckets[at] = (state.buckets[at] ?? 0) + 1;
        },
      };
    },
    text() {
      let out = head(name, help, 'histogram');
      for (const [labels, { buckets, sum, count }] of values) {
        let below = 0;
        bounds.forEach((bound, at) => {
          below += buckets[at] ?? 0;
          out += `${name}_bucket${braces(join(labels, `le="${bound}"`))} ${below}\n`;
        });
        out += `${name}_bucket${braces(join(labels, 'le="+Inf"'))} ${count}\n`;
        out += `${name}_sum${braces(labels)} ${sum}\n${name}_count${braces(labels)} ${count}\n`;
      }
      return out;
    },
  };
}

type Reader = () => [labels: Labels, value: number][];

/** Values that are asked for when the text is made. */
export function gauge(name: string, help: string, read: Reader): Pick<Family, 'text'> {
  return asked('gauge', name, help, read);
}

/** Sums that somebody else keeps, asked for when the text is made. */
export function keptCounter(name: string, help: string, read: Reader): Pick<Family, 'text'> {
  return asked('counter', name, help, read);
}

const asked = (type: string, name: string, help: string, read: Reader) => ({
  text: () =>
    head(name, help, type) +
    read()
      .map(([labels, value]) => `${name}${braces(format(labels))} ${value}\n`)
      .join(''),
});

const head = (name: string, help: string, type: string) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;

const format = (labels: Labels) =>
  Object.entries(labels)
    .map(([label, value]) => `${label}="${value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`)
    .join(',');
const join = (labels: string, more: string) => (labels === '' ? more : `${labels},${more}`);
const braces = (labels: string) => (labels === '' ? '' : `{${labels}}`);

function remember<State>(known: Map<string, State>, labels: string, make: () => State): State {
  const found = known.get(labels);
  if (found) return found;
  const state = make();
  known.set(labels, state);
  return state;
}
