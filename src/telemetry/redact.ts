/** Keeps secrets out of logs, errors and pages: by what they look like, and by where they stand. */

const mask = '[redacted]';

/** Shapes of secrets that may stand anywhere in a text. */
const shapes: [RegExp, string][] = [
  // Our own, OpenAI's and those who copied it, Anthropic's, OpenRouter's, Groq's, xAI's, Google's, Hugging Face's, AWS's.
  [/\b(vd|sk|pk|rk|gsk|xai|hf)([-_])[\w-]{16,}/g, `$1$2${mask}`],
  [/\bAIza[\w-]{30,}/g, mask],
  [/\b(AKIA|ASIA)[A-Z0-9]{16}\b/g, mask],
  [/\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*/g, mask],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${mask}`],
  // Credentials in an address, and in a query.
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^/\s:@]*:[^/\s@]+@/gi, `$1${mask}@`],
  [
    /([?&](?:key|api[-_]?key|token|access_token|code|client_secret|signature|sig|X-Amz-Signature)=)[^&\s"']+/gi,
    `$1${mask}`,
  ],
];

/** A text without anything that looks like a secret. */
export function redactText(text: string): string {
  let clean = text;
  for (const [shape, replacement] of shapes) clean = clean.replace(shape, replacement);
  return clean;
}

/** Names of fields whose value is a secret whatever it looks like. */
const secretName =
  /^(authorization|proxy-authorization|cookie|set-cookie|x-api-key|api[-_]?keys?|secret|client_secret|password|passwd|token|admin_?key|access_key|secret_access_key|session_token|credentials|private_key|webhook)$/i;
/** Fields that map names to values of which any may be a secret: what a provider is sent with every request. */
const secretsName = /^headers$/i;

const maxDepth = 12;

/** A copy of any value for logs and pages: secret fields masked, all texts redacted, nothing endless. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (value === null || typeof value !== 'object') return value;
  if (depth >= maxDepth) return '…';
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Error) return redactError(value, depth);
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      secretName.test(name) && field !== null && field !== undefined
        ? mask
        : secretsName.test(name) && isRecord(field)
          ? Object.fromEntries(Object.keys(field).map((key) => [key, mask]))
          : redact(field, depth + 1),
    ]),
  );
}

const isRecord = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function redactError(error: Error, depth: number): object {
  const { name, message, stack, cause } = error;
  const { code } = error as Error & { code?: unknown };
  return {
    name,
    message: redactText(message),
    ...(code !== undefined && { code }),
    ...(stack && { stack: redactText(stack) }),
    ...(cause !== undefined && { cause: redact(cause, depth + 1) }),
  };
}
