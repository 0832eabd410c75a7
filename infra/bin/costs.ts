/** Writes `COSTS.md`; with `--check` fails where it is not what the prices and the template say. */
import { readFileSync, writeFileSync } from 'node:fs';
import { PRICES, SIZES, channelHour, idleMonth, total } from '../lib/costs.ts';
import type { Ladder } from '../lib/costs.ts';
import { publishedTemplate } from '../lib/synthesise.ts';

const FILE = new URL('../COSTS.md', import.meta.url);

const LADDERS: Ladder[] = [
  { name: 'the sample (`live_job.json`: 360p and 432p, AAC), a small worker', ...SIZES.small, videos: 2, audios: 1, segmentSeconds: 4 },
  { name: 'six rungs, 1080p25 to 234p (H.264 `veryfast`, AAC), a medium worker', ...SIZES.medium, videos: 6, audios: 1, segmentSeconds: 4 },
];

const dollars = (amount: number) => `$${amount.toFixed(amount < 0.1 ? 4 : 3)}`;

function table(parts: Record<string, number>): string {
  const rows = Object.entries(parts).map(([name, amount]) => `| ${name} | ${dollars(amount)} |`);
  return ['| for | US dollars |', '|---|---|', ...rows, `| **all** | **${dollars(total(parts))}** |`].join('\n');
}

/** The properties of what the template has of a type. */
function ofType(type: string): any[] {
  const resources = Object.values(publishedTemplate().Resources as Record<string, { Type: string; Properties: any }>);
  return resources.filter((resource) => resource.Type === type).map((resource) => resource.Properties);
}

function page(): string {
  const [, six] = LADDERS;
  const here = total(channelHour(six, PRICES.fargateArm));
  const ownMetrics = new Set(ofType('AWS::Logs::MetricFilter')
    .flatMap((filter) => filter.MetricTransformations).map((metric) => metric.MetricName)).size;
  return `# What it costs

Made by \`make template\` from the stack's sizes and the prices in \`infra/lib/costs.ts\`: us-east-1, on demand, before any free tier; those of Fargate and DynamoDB were held against published tables in November 2026 (AWS's own pages: [Fargate](https://aws.amazon.com/fargate/pricing/), [DynamoDB](https://aws.amazon.com/dynamodb/pricing/on-demand/), [S3](https://aws.amazon.com/s3/pricing/)). Check them against your region: Spot moves between half and 70 % off, here it is 60 %. Delivery to viewers (CloudFront, and its GETs of S3) and storage beyond the live window come on top, as they do whoever encodes. The arithmetic is an estimate; no bill stands behind it.

## A channel, by the hour (Fargate, arm64)

${LADDERS.map((ladder) => `### ${ladder.name}\n\n${table(channelHour(ladder, PRICES.fargateArm))}\n\nOn x86_64: ${dollars(total(channelHour(ladder, PRICES.fargateX86)))}; on Fargate Spot (arm64): ${dollars(total(channelHour(ladder, PRICES.fargateSpotArm)))}.`).join('\n\n')}

## Beside a managed encoder

The six-rung example is $${PRICES.managedSixRungHour.toFixed(2)} an hour at a managed encoder with its packager (a public example). Here it is ${dollars(here)}: ${(PRICES.managedSixRungHour / here).toFixed(0)} times less. What that buys there and not here: a second pipeline at work all the time, more kinds of input and output, and somebody else's pager.

## The stack with no channel, by the month

${table(idleMonth(ofType('AWS::CloudWatch::Alarm').length, ownMetrics))}

A hosted zone for stable ingest names is $0.50 a month, and $0.40 a million queries, besides.

No NAT gateway, no load balancer, no instance: what stands by is the queue being polled, the sweep each minute, and the alarms.
`;
}

const text = page();
if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== text) {
    console.error('infra/COSTS.md is not what the prices say: run `make template`');
    process.exit(1);
  }
} else {
  writeFileSync(FILE, text);
}
