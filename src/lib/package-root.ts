import { findPackageJSON } from 'node:module';
import { dirname } from 'node:path';

/** The folder of package.json, whether this runs from src/ or from the bundle in dist/. */
export const packageRoot = dirname(findPackageJSON(import.meta.url) ?? '');
