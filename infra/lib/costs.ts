/**
 * What a channel costs, from the template's sizes and the public prices of
 * us-east-1 (on demand; traffic to viewers apart, as it is the same whoever
 * encodes). Those of Fargate, DynamoDB and public addresses were held against
 * published tables (of March to June 2026) in November 2026; the others are
 * the list prices as known then.
 */

/** US dollars. */
export const PRICES = {
  fargateArm: { coreHour: 0.03238, gibHour: 0.00356 },
  fargateX86: { coreHour: 0.04048, gibHour: 0.004445 },
  /** At 60 % off: it moves with supply, between half and 70 % off. */
  fargateSpotArm: { coreHour: 0.01295, gibHour: 0.001424 },
  publicIpHour: 0.005,
  s3PutPer1000: 0.005,
  dynamoWritePerMillion: 0.625,
  dynamoReadPerMillion: 0.125,
  sqsPerMillion: 0.4,
  lambdaGbSecondArm: 0.0000133334,
  lambdaPerMillion: 0.2,
  xrayTracePerMillion: 5,
  logsPerGb: 0.5,
  alarmMonth: 0.1,
  metricMonth: 0.3,
  dashboardMonth: 3,
  eventsScheduledPerMillion: 1,
  /** AWS Elemental MediaLive, single pipeline, and MediaPackage: the six-rung 1080p example. */
  managedSixRungHour: 3.11,
};

export interface Ladder {
  readonly name: string;
  /** Cores and GiB of the worker that its weight asks for. */
  readonly cores: number;
  readonly gib: number;
  readonly videos: number;
  readonly audios: number;
  readonly segmentSeconds: number;
}

/** The sizes are those of `domain/src/spec/weight.rs` and `aws/src/launcher.rs`. */
export const SIZES = { small: { cores: 1, gib: 2 }, medium: { cores: 4, gib: 8 }, large: { cores: 16, gib: 32 } };

type Compute = { coreHour: number; gibHour: number };

/** One channel for one hour, by what it is spent on. */
export function channelHour(ladder: Ladder, compute: Compute): Record<string, number> {
  const segments = 3600 / ladder.segmentSeconds;
  const tracks = ladder.videos + ladder.audios;
  // Each segment: its objects, the timeline, each media playlist, the MPD;
  // and as many deletions, which are free.
  const puts = segments * (tracks + 1 + tracks + 1);
  // A beat each second: a write of up to 1 KiB and a consistent read of 4 KiB.
  const writes = 3600;
  const reads = 3600;
  const watches = 3600 / 2;
  return {
    compute: ladder.cores * compute.coreHour + ladder.gib * compute.gibHour,
    'public address': PRICES.publicIpHour,
    's3 puts': (puts / 1000) * PRICES.s3PutPer1000,
    'dynamodb': (writes * PRICES.dynamoWritePerMillion + reads * PRICES.dynamoReadPerMillion
      + watches * (PRICES.dynamoWritePerMillion + 2 * PRICES.dynamoReadPerMillion)) / 1e6,
    // Sent, received, deleted; and a tenth of a second of 256 MB for each.
    'scheduler': (watches * (3 * PRICES.sqsPerMillion + PRICES.lambdaPerMillion)) / 1e6
      + watches * 0.1 * 0.25 * PRICES.lambdaGbSecondArm,
    // Sampling keeps one call a second and a twentieth of the others: of one
    // channel every look, of many less.
    'traces (at most)': (watches * PRICES.xrayTracePerMillion) / 1e6,
    // A line of 300 bytes a segment, and as much again.
    'logs': (segments * 600 * PRICES.logsPerGb) / 1e9,
  };
}

/** The stack with no channel at all, a month of 730 hours. */
export function idleMonth(alarms: number, ownMetrics: number): Record<string, number> {
  const sweeps = 730 * 60;
  return {
    alarms: alarms * PRICES.alarmMonth,
    dashboard: PRICES.dashboardMonth,
    'own metrics (only in months with channels)': ownMetrics * PRICES.metricMonth,
    // The event source polls with five long polls of 20 s each, without end.
    'queue polls': (5 * (3600 / 20) * 730 * PRICES.sqsPerMillion) / 1e6,
    sweeps: (sweeps * (PRICES.eventsScheduledPerMillion + 3 * PRICES.sqsPerMillion + PRICES.lambdaPerMillion
      + 12 * PRICES.dynamoReadPerMillion)) / 1e6 + sweeps * 0.1 * 0.25 * PRICES.lambdaGbSecondArm,
    'traces of sweeps': (sweeps * PRICES.xrayTracePerMillion) / 1e6,
  };
}

export function total(parts: Record<string, number>): number {
  return Object.values(parts).reduce((sum, part) => sum + part, 0);
}
