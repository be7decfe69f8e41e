/** The public list of hosted models, their contexts and prices. Source: https://github.com/pydantic/genai-prices */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** Loaded when first asked for: it takes 70 ms and 4 MB of heap, which a server of local models alone never needs. */
export const priceList = () => require('@pydantic/genai-prices') as typeof import('@pydantic/genai-prices');
