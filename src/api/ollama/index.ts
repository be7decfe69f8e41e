/** Ollama's native API. Adding an endpoint = its file and its line here. */
import { encodeError } from '../../protocols/ollama.ts';
import type { FrontDoor } from '../define.ts';
import { hasBlob, putBlob } from './blobs.ts';
import { chat } from './chat.ts';
import { copy } from './copy.ts';
import { create } from './create.ts';
import { deleteModel } from './delete.ts';
import { embed } from './embed.ts';
import { embeddings } from './embeddings.ts';
import { generate } from './generate.ts';
import { ps } from './ps.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { root } from './root.ts';
import { show } from './show.ts';
import { tags } from './tags.ts';
import { version } from './version.ts';

export const ollama: FrontDoor = {
  endpoints: [
    chat,
    generate,
    embed,
    embeddings,
    ps,
    tags,
    show,
    pull,
    push,
    create,
    copy,
    deleteModel,
    hasBlob,
    putBlob,
    version,
    root,
  ],
  encodeError,
};
