/** viaduct import litellm FILE — turn another gateway's configuration into viaduct.yaml. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type Command, jsonOption } from './define.ts';

const litellm: Command = {
  usage: 'litellm <file>',
  summary: 'A LiteLLM proxy’s config.yaml',
  options: [['-o, --output <file>', 'write there instead of printing'], jsonOption],
  async run([file = ''], { output, json }, io) {
    const { importLiteLlm } = await import('../config.ts');
    const { yaml, notes } = importLiteLlm(readFileSync(file, 'utf8'));
    if (typeof output === 'string') {
      if (existsSync(output)) throw new Error(`${output} exists already: name another file with --output.`);
      writeFileSync(output, yaml);
    }
    if (json) return io.out(JSON.stringify({ yaml, notes }));
    if (typeof output !== 'string') io.out(yaml.trimEnd());
    for (const sentence of notes) io.note(sentence);
    if (typeof output === 'string') io.note(`Wrote ${output}. Check it with: viaduct config check ${output}`);
  },
};

export const importConfig: Command = {
  usage: 'import',
  summary: 'Turn another gateway’s configuration into ours',
  subcommands: [litellm],
};
