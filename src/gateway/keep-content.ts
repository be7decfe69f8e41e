/** Prompts and answers for the log, only where a key or a route asks for it: copied as they pass, redacted, gone after their time. */
import type { ChatEvent } from '../core/chat.ts';
import { createFolder } from '../core/collect.ts';
import type { ContentStore } from '../store/contents.ts';
import { redactText } from '../telemetry/redact.ts';
import type { ChatAnswer, ChatCall, KeepContent, Kept } from './contract.ts';
import { createId } from './secrets.ts';

/** Of one answer, in characters: a log is no archive. */
const maxCharacters = 1_000_000;
const cleanMs = 3_600_000;

/** Let `answer` tell, when it is over, what was asked and said. It stays the same object, as its cost is filled in later. */
export function keeping(
  answer: ChatAnswer,
  call: ChatCall,
  { requestId, owner, keepFor }: Pick<Kept, 'requestId' | 'owner' | 'keepFor'>,
  keep: KeepContent,
): ChatAnswer {
  const tell = (text: string) =>
    keep({ requestId, owner, keepFor, request: JSON.stringify(call.body ?? call.decode()), answer: text });
  if ('relay' in answer) {
    const body = copied(answer.relay.body, textOf(tell));
    return Object.assign(answer, { relay: { ...answer.relay, body } });
  }
  return Object.assign(answer, { events: copied(answer.events, partsOf(tell)) });
}

type Copy<Item> = { push(item: Item): void; end(): void };

async function* copied<Item>(source: AsyncIterable<Item> | Item[], copy: Copy<Item>): AsyncIterable<Item> {
  try {
    for await (const item of source) {
      copy.push(item);
      yield item;
    }
  } finally {
    copy.end();
  }
}

function textOf(tell: (text: string) => void): Copy<Buffer> {
  const decoder = new TextDecoder();
  let text = '';
  return {
    push(bytes) {
      if (text.length < maxCharacters) text += decoder.decode(bytes, { stream: true });
    },
    end: () => tell(text),
  };
}

function partsOf(tell: (text: string) => void): Copy<readonly ChatEvent[]> {
  const folder = createFolder();
  let broken = true;
  return {
    push(batch) {
      for (const event of batch) {
        folder.push(event);
        if (event.type === 'finish') broken = false;
      }
    },
    // An answer that broke off has no result; what it said until then went out all the same, but is not worth a format of its own.
    end: () => tell(broken ? '' : JSON.stringify(folder.result().parts)),
  };
}

/** PostgreSQL takes no text with a zero in it. */
const clean = (text: string) => redactText(text.slice(0, maxCharacters)).replaceAll('\0', '');

/** Puts what is kept into the store, off the request's way, and removes what is past its time. Close it before the store. */
export function createContentKeeper(store: ContentStore, now: () => number, failed: (error: unknown) => void) {
  const running = new Set<Promise<unknown>>();
  const run = (work: Promise<unknown>) => {
    const done = work.catch(failed).finally(() => running.delete(done));
    running.add(done);
  };
  const timer = setInterval(() => run(store.removeExpired(now())), cleanMs);
  timer.unref();
  run(store.removeExpired(now()));
  return {
    keep({ requestId, owner, request, answer, keepFor }: Kept) {
      const createdAt = now();
      const content = {
        id: createId('content'),
        requestId,
        owner,
        request: clean(request),
        answer: clean(answer),
        createdAt,
        expiresAt: createdAt + keepFor,
      };
      run(store.append([content]));
    },
    async close() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}
