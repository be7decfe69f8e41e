import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import { type CreateRequest, createModel } from '../../models/create.ts';
import { parseModelfile } from '../../models/modelfile.ts';
import { parseName } from '../../models/names.ts';
import { pullModel } from '../../models/pull.ts';
import type { Endpoint } from '../define.ts';
import { bodyOf, modelField, modelOf } from './body.ts';
import { answerProgress } from './progress.ts';

const schema = z.object({
  ...modelField,
  from: z.string().nullish(),
  files: z.record(z.string(), z.string()).nullish(),
  adapters: z.record(z.string(), z.string()).nullish(),
  template: z.string().nullish(),
  system: z.string().nullish(),
  license: z.union([z.string(), z.array(z.string())]).nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).nullish(),
  quantize: z.string().nullish(),
  quantization: z.string().nullish(),
  /** Text of a Modelfile, as clients before Ollama 0.5.5 send it. */
  modelfile: z.string().nullish(),
  stream: z.boolean().nullish(),
});

/** POST /api/create — https://docs.ollama.com/api/create */
export const create: Endpoint = {
  method: 'POST',
  path: '/api/create',
  body: schema,
  access: 'admin',
  async handle(exchange) {
    const body = bodyOf(exchange, schema);
    const { license } = body;
    const name = modelOf(body);
    parseName(name);
    const request: CreateRequest = {
      name,
      from: body.from || undefined,
      files: body.files ?? undefined,
      adapters: body.adapters ?? undefined,
      template: body.template ?? undefined,
      system: body.system ?? undefined,
      params: body.parameters as CreateRequest['params'],
      messages: body.messages ?? undefined,
      licenses: typeof license === 'string' ? [license] : (license ?? undefined),
      quantize: body.quantize || body.quantization || undefined,
      ...(body.modelfile && fromModelfile(body.modelfile)),
    };
    if (!request.from && !request.files)
      throw new ViaductError('invalid_request', 'neither "from" nor "files" was specified', { param: 'from' });
    const { caller, services } = exchange;
    await answerProgress(exchange, body.stream ?? true, (onProgress) =>
      createModel(services.models, request, {
        onProgress,
        pull: (from) => pullModel(services.models, from, { signal: caller.signal, onProgress }),
      }),
    );
  },
};

/** A Modelfile sent as text names models only: the files of this machine are not the client's to read. */
function fromModelfile(text: string): Partial<CreateRequest> {
  const { from, adapters, template, system, params, messages, licenses } = parseModelfile(text);
  if (from.length > 1 || adapters.length > 0)
    throw new ViaductError(
      'invalid_modelfile',
      'Files of a Modelfile must be uploaded as blobs and named in "files".',
      {
        param: 'modelfile',
      },
    );
  return { from: from[0], template, system, params, messages, licenses };
}
