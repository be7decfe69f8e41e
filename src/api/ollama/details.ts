import type { StoredModel } from '../../models/store.ts';

/** What Ollama's listings say of a model. */
export const detailsOf = ({ config }: StoredModel) => ({
  parent_model: config.viaduct?.parent ?? '',
  format: config.model_format,
  family: config.model_family,
  families: config.model_families ?? (config.model_family ? [config.model_family] : null),
  parameter_size: config.model_type,
  quantization_level: config.file_type,
});

/** Ollama writes digests of models without `sha256:`. */
export const bareDigest = (digest: string) => digest.replace(/^sha256:/, '');
