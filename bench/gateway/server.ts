/** The gateway with every stage on: key, limits, budget, route, ledger, metrics and a log line. No local models. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp } from '../../src/api/app.ts';
import type { Services } from '../../src/api/define.ts';
import { settle } from '../../src/cli/lean.ts';
import { parseConfig } from '../../src/config.ts';
import { createBoundary } from '../../src/gateway/boundary.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { createProviderSet } from '../../src/providers/index.ts';
import { openStore } from '../../src/store/open.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { createRequestLog } from '../../src/telemetry/request-log.ts';
import { answerReadings } from './measured.ts';

answerReadings();
const upstream = process.argv[2] ?? '';
const config = parseConfig(
  `providers:
  openai: { api_key: sk-bench, base_url: ${upstream}/v1 }
  anthropic: { api_key: sk-bench, base_url: ${upstream}/v1 }
models:
  plain: { targets: [openai/gpt-5] }
  translated: { targets: [anthropic/claude-haiku-4-5] }
`,
  'bench.yaml',
  {},
);
const home = mkdtempSync(join(tmpdir(), 'viaduct-bench-'));
const db = await openStore({ database: 'sqlite', home });
const log = createLog('info');
const boundary = await createBoundary({
  db,
  home,
  redis: undefined,
  authMode: 'required',
  secret: undefined,
  adminKey: undefined,
  rotationOverlapMs: 0,
  loopback: true,
  limits: config.limits,
  prices: {},
  machine: { watts: 65, pricePerKwh: 0.3, hardwarePrice: 2000, lifetimeHours: 26_280 },
  now: Date.now,
  warn: log.warn,
});
const { key, secret } = await boundary.administration.keys.create({
  name: 'bench',
  createdBy: 'bench',
  policy: { limits: { rpm: 1e9, tpm: 1e12, concurrent: 10_000 } },
});
await boundary.administration.budgets.create({ scope: 'key', scopeId: key.id, period: 'month', amount: 1e6 });
const metrics: Metrics = createMetrics(
  () => gateway.health(),
  () => new Map(),
);
const logCall = createRequestLog(log);
const gateway = createGateway({
  ...boundary,
  providers: createProviderSet()(config.providers),
  models: config.models,
  observe(call) {
    metrics.record(call);
    logCall(call);
  },
});
const app = createApp({ gateway, metrics, boundary, now: Date.now } as unknown as Services);
await app.listen({ host: '127.0.0.1', port: 0 });
await settle();
process.send?.({ port: (app.server.address() as AddressInfo).port, secret });

process.on('disconnect', async () => {
  app.server.closeAllConnections();
  await boundary.close();
  await db.destroy();
  rmSync(home, { recursive: true, force: true });
  process.exit();
});
