/** Ollama's registry protocol: an OCI registry whose manifests have Ollama's layer types. */
import { ViaductError } from '../../core/errors.ts';
import { blobsOf, type Layer, mediaTypes, parseManifest } from '../manifest.ts';
import { displayName } from '../names.ts';
import { fetchBlob, needSpaceFor, type PullContext, type PullSource, shortDigest } from '../pull-context.ts';
import { createRegistryClient, type RegistryClient } from '../registry-client.ts';
import { digestOf } from '../store.ts';
import type { SmallReply } from '../transfer.ts';

const accept = `${mediaTypes.manifest}, application/vnd.oci.image.manifest.v1+json`;

export const pullFromRegistry: PullSource = async (name, context) => {
  const { signal, settings, insecure, hold } = context;
  const registry = createRegistryClient(name, { insecure, actions: 'pull', signal, settings });
  const reply = await registry.sendSmall(`manifests/${name.digest ?? name.tag}`, { headers: { accept } });
  if (reply.status !== 200) throw manifestError(reply, displayName(name), registry.repository);
  const where = registry.repository;
  const manifest = parseManifest(reply.bytes, where);
  if (name.digest && digestOf(reply.bytes) !== name.digest)
    throw new ViaductError('digest_mismatch', `${where} answers with another manifest than ${name.digest}.`);
  const blobs = blobsOf(manifest);
  hold(blobs.map(({ digest }) => digest));
  await needSpaceFor(context, blobs);
  for (const blob of blobs) await pullBlob(registry, blob, context);
  return reply.bytes;
};

async function pullBlob(registry: RegistryClient, { digest, size }: Layer, context: PullContext) {
  if (await context.store.findBlob(digest, size)) {
    context.report({ status: `pulling ${shortDigest(digest)}`, digest, total: size, completed: size });
    return;
  }
  await fetchBlob(context, {
    digest,
    size,
    label: `${shortDigest(digest)} of ${registry.repository}`,
    open: (range, signal) =>
      registry.send(`blobs/${digest}`, {
        signal,
        headers: range ? { range: `bytes=${range.start}-${range.end - 1}` } : {},
      }),
  });
}

function manifestError({ status, host }: SmallReply, model: string, repository: string): ViaductError {
  if (status === 404)
    return new ViaductError('model_not_found', `${host} has no model "${model}".`, { param: 'model' });
  if (status === 401 || status === 403)
    return new ViaductError(
      'permission_denied',
      `${repository} may not be pulled: ${host} asks for a login (status ${status}).`,
    );
  if (status === 429) return new ViaductError('rate_limit_exceeded', `${host} is busy (status 429). Try again later.`);
  return new ViaductError(
    'registry_unavailable',
    `${host} answers with status ${status} for ${model}. Try again later.`,
  );
}
