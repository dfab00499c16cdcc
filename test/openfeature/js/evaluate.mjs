// Evaluates flags with the unmodified OpenFeature server SDK and one provider,
// prints the outcome as one line of JSON, waits until paymentServiceFailure is
// true, prints that, and ends.
//
//   node evaluate.mjs rpc|in-process|ofrep PORT
import { OpenFeature } from '@openfeature/server-sdk';
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OFREPProvider } from '@openfeature/ofrep-provider';

const [mode, port] = process.argv.slice(2);
const host = '127.0.0.1';
const provider =
  mode === 'ofrep'
    ? new OFREPProvider({ baseUrl: `http://${host}:${port}` })
    : new FlagdProvider({ host, port: Number(port), resolverType: mode });

await OpenFeature.setProviderAndWait(provider);
const client = OpenFeature.getClient();
const anybody = { targetingKey: 'user-1', email: 'a@b.c' };
const insider = { targetingKey: 'user-2', email: 'x@example.com' };
const brief = ({ value, variant, reason, errorCode }) => ({ value, variant, reason, errorCode });

console.log(
  JSON.stringify({
    // First, because flagd's provider caches values without their type.
    wrongType: brief(await client.getStringDetails('workers', 'x', anybody)),
    failure: brief(await client.getBooleanDetails('paymentServiceFailure', true, anybody)),
    banner: brief(await client.getStringDetails('banner', '', anybody)),
    insider: brief(await client.getStringDetails('banner', '', insider)),
    ratio: await client.getNumberValue('ratio', 0, anybody),
    workers: await client.getNumberValue('workers', 0, anybody),
    theme: await client.getObjectValue('theme', {}, anybody),
    retired: await client.getBooleanValue('retired', true, anybody),
    byCode: await client.getBooleanValue('byCode', true, anybody),
    nothing: brief(await client.getBooleanDetails('nothing', true, anybody)),
  }),
);

const deadline = Date.now() + 10_000;
for (;;) {
  const details = await client.getBooleanDetails('paymentServiceFailure', false, anybody);
  if (details.value === true || Date.now() > deadline) {
    console.log(JSON.stringify(brief(details)));
    break;
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
}
await OpenFeature.close();
process.exit(0);
