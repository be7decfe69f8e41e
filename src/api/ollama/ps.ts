import type { LoadedModel } from '../../engine/scheduler.ts';
import type { Endpoint } from '../define.ts';

/** GET /api/ps — https://docs.ollama.com/api/ps */
export const ps: Endpoint = {
  method: 'GET',
  path: '/api/ps',
  async handle({ reply, services }) {
    return reply.send({ models: services.scheduler.loaded().map((model) => encodeLoaded(model, services.now())) });
  },
};

/** Ollama's word for "never", as far away as its own clock reaches: 2^63 nanoseconds. */
const foreverMs = 2 ** 63 / 1e6;

/** A runner in Ollama's words; `parallel`, `busy` and `queued` are ours. Sizes in bytes. */
function encodeLoaded(loaded: LoadedModel, now: number) {
  const { name, digest, model, expiresAt } = loaded;
  const { config, gguf } = model;
  const family = config.model_family || gguf.architecture;
  return {
    name,
    model: name,
    size: loaded.size,
    digest: digest.replace('sha256:', ''),
    details: {
      parent_model: config.viaduct?.parent ?? '',
      format: config.model_format || 'gguf',
      family,
      families: config.model_families ?? [family],
      parameter_size: config.model_type,
      quantization_level: config.file_type || gguf.quantization,
    },
    expires_at: new Date(expiresAt ?? now + foreverMs).toISOString(),
    size_vram: loaded.sizeVram,
    context_length: loaded.contextLength,
    parallel: loaded.parallel,
    busy: loaded.busy,
    queued: loaded.queued,
  };
}
