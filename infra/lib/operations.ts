/** What tells a person: metrics out of the logs, alarms, a dashboard. `RUNBOOK.md` says what to do. */
import { Aws, Duration } from 'aws-cdk-lib';
import {
  CfnAlarm, Dashboard, GraphWidget, Metric, SingleValueWidget, Stats, TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { CfnMetricFilter } from 'aws-cdk-lib/aws-logs';
import type { CfnLogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Api } from './api.ts';
import { either } from './parameters.ts';
import type { Parameters } from './parameters.ts';
import type { Records } from './records.ts';
import type { Scheduler } from './scheduler.ts';
import type { Workers } from './workers.ts';

export interface OperationsProps {
  readonly parameters: Parameters;
  readonly records: Records;
  readonly api: Api;
  readonly scheduler: Scheduler;
  readonly workers: Workers;
}

interface AlarmOf {
  readonly metric: Metric;
  readonly threshold: number;
  /** Periods of the metric, one after the other, in each of which it is at the threshold. */
  readonly periods: number;
  readonly description: string;
}

export class Operations extends Construct {
  constructor(scope: Construct, id: string, private readonly props: OperationsProps) {
    super(scope, id);
    const { records, api, scheduler, workers } = props;
    const minute = Duration.minutes(1);
    const sqs = (metricName: string, queueName: string) => new Metric({
      namespace: 'AWS/SQS', metricName, dimensionsMap: { QueueName: queueName },
      statistic: Stats.MAXIMUM, period: minute,
    });
    const ofApi = (metricName: string, statistic: string) => new Metric({
      namespace: 'AWS/ApiGateway', metricName, dimensionsMap: { ApiId: api.api.ref }, statistic, period: minute,
    });
    const ofScheduler = (metricName: string, statistic: string) => new Metric({
      namespace: 'AWS/Lambda', metricName, dimensionsMap: { FunctionName: scheduler.handler.function.ref },
      statistic, period: minute,
    });

    const deadLetters = sqs('ApproximateNumberOfMessagesVisible', records.deadLetters.queueName);
    const oldest = sqs('ApproximateAgeOfOldestMessage', records.queue.queueName);
    const apiErrors = ofApi('5xx', Stats.SUM);
    const schedulerErrors = ofScheduler('Errors', Stats.SUM);
    const written = { api: api.handler.logs, scheduler: scheduler.handler.logs, worker: workers.logs };
    const jobsFailed = this.counted('JobsFailed', ['job failed'], written);
    const ofSchedulerLog = { scheduler: scheduler.handler.logs };
    // With a job and without.
    const workersLost = this.counted(
      'WorkersLost', ['worker lost', 'a worker that beats no more: closed'], ofSchedulerLog,
    );
    const schedulerFailures = this.counted(
      'SchedulerFailures', ['will come again', 'not swept', 'could not end the worker'], ofSchedulerLog,
    );
    const uploadLag = this.measured('UploadLag', '$.upload_lag_ms', workers.logs);
    const storeFails = this.counted(
      'StoreFails', ['the media store fails; trying again'], { worker: workers.logs },
    );
    const segmentsDropped = this.summed(
      'SegmentsDropped', 'segments left out: the store is too slow', '$.dropped', workers.logs,
    );

    this.alarm('DeadLetters', {
      metric: deadLetters, threshold: 1, periods: 1,
      description: 'A message to the scheduler failed each time it was tried, and was set aside',
    });
    this.alarm('OldestMessage', {
      metric: oldest, threshold: 30, periods: 3,
      description: 'Messages wait: the scheduler does not run, or not fast enough (seconds)',
    });
    this.alarm('SchedulerErrors', {
      metric: schedulerErrors, threshold: 1, periods: 3,
      description: 'The scheduler does not start, crashes or times out',
    });
    // One alone is what trying again is for.
    this.alarm('SchedulerFailures', {
      metric: schedulerFailures.with({ period: Duration.minutes(5) }), threshold: 3, periods: 1,
      description: 'The scheduler runs, but what it does fails: the database, the queue or ECS refuses or is away',
    });
    this.alarm('ApiErrors', {
      metric: apiErrors, threshold: 3, periods: 3,
      description: 'The API answers with 5xx',
    });
    this.alarm('JobsFailed', {
      metric: jobsFailed, threshold: 1, periods: 1,
      description: 'A job has failed for good; its reason says why',
    });
    this.alarm('WorkersLost', {
      metric: workersLost.with({ period: Duration.minutes(5) }), threshold: 3, periods: 1,
      description: 'Three workers or more have died within five minutes',
    });
    this.alarm('UploadLag', {
      metric: uploadLag, threshold: 4000, periods: 3,
      description: 'The bucket is slow (milliseconds that a segment takes from its turn until it is published)',
    });
    // Each channel says it once an outage, and publishes nothing until it is over.
    this.alarm('StoreFails', {
      metric: storeFails, threshold: 1, periods: 1,
      description: 'A channel can not be published: its bucket fails or is away, and is tried again',
    });
    this.alarm('SegmentsDropped', {
      metric: segmentsDropped, threshold: 1, periods: 1,
      description: 'Segments were left out, as the bucket was slow or away for too long: viewers miss them',
    });

    const graph = (title: string, left: IMetric[], right: IMetric[] = []) =>
      new GraphWidget({ title, left, right, width: 12, height: 6 });
    new Dashboard(this, 'Dashboard', {
      // Dashboards are the account's, over all regions.
      dashboardName: `${Aws.STACK_NAME}-${Aws.REGION}`,
      widgets: [
        [new TextWidget({ markdown: '# ezlive\nWhat each alarm means and does: `infra/RUNBOOK.md`.', width: 24, height: 2 })],
        [new SingleValueWidget({
          title: 'Now', width: 24, height: 3,
          metrics: [deadLetters, oldest, jobsFailed, workersLost, uploadLag, storeFails, segmentsDropped],
        })],
        [
          graph('API: calls and errors', [ofApi('Count', Stats.SUM)], [apiErrors, ofApi('4xx', Stats.SUM)]),
          graph('API: latency (ms)', [ofApi('Latency', 'p50'), ofApi('Latency', 'p99')]),
        ],
        [
          graph('Scheduler: batches, errors and failures', [ofScheduler('Invocations', Stats.SUM)], [schedulerErrors, schedulerFailures]),
          graph('Scheduler: duration (ms), queue age (s)', [ofScheduler('Duration', 'p99')], [oldest]),
        ],
        [
          graph('Channels: failed jobs, lost workers', [jobsFailed, workersLost]),
          graph('Channels: upload lag (ms), failing stores, dropped segments', [uploadLag], [storeFails, segmentsDropped]),
        ],
      ],
    });
  }

  /** Counts the log lines with one of these messages, over these logs. */
  private counted(name: string, messages: string[], logs: Record<string, CfnLogGroup>): Metric {
    const pattern = messages.map((message) => `($.message = "${message}")`).join(' || ');
    for (const [from, group] of Object.entries(logs)) {
      this.filter(`${name}-${from}`, name, group, `{ ${pattern} }`, '1', 'Count');
    }
    return new Metric({ namespace: this.namespace, metricName: name, statistic: Stats.SUM, period: Duration.minutes(1) });
  }

  /** Adds up a number that the log lines with this message carry. */
  private summed(name: string, message: string, field: string, group: CfnLogGroup): Metric {
    this.filter(name, name, group, `{ ($.message = "${message}") && (${field} >= 0) }`, field, 'Count');
    return new Metric({ namespace: this.namespace, metricName: name, statistic: Stats.SUM, period: Duration.minutes(1) });
  }

  /** The greatest of a number that log lines carry. */
  private measured(name: string, field: string, group: CfnLogGroup): Metric {
    this.filter(name, name, group, `{ ${field} >= 0 }`, field, 'None');
    return new Metric({ namespace: this.namespace, metricName: name, statistic: Stats.MAXIMUM, period: Duration.minutes(1) });
  }

  private filter(id: string, metricName: string, group: CfnLogGroup, pattern: string, value: string, unit: string): void {
    new CfnMetricFilter(this, `Filter${id}`, {
      logGroupName: group.ref,
      filterPattern: pattern,
      metricTransformations: [{ metricNamespace: this.namespace, metricName, metricValue: value, unit }],
    });
  }

  private get namespace(): string {
    return `ezlive/${Aws.STACK_NAME}`;
  }

  /** An alarm when the metric is at the threshold in each of some periods. */
  private alarm(id: string, { metric, threshold, periods, description }: AlarmOf): void {
    const { parameters } = this.props;
    const { period, statistic, namespace, metricName, dimensions } = metric.toMetricConfig().metricStat!;
    const actions = [either(parameters.hasAlarmTopic, parameters.alarmTopic.valueAsString, Aws.NO_VALUE)];
    new CfnAlarm(this, `Alarm${id}`, {
      alarmDescription: `ezlive: ${description}. See RUNBOOK.md, ${id}`,
      namespace,
      metricName,
      dimensions,
      statistic,
      period: period.toSeconds(),
      threshold,
      evaluationPeriods: periods,
      comparisonOperator: 'GreaterThanOrEqualToThreshold',
      treatMissingData: 'notBreaching',
      alarmActions: actions,
      okActions: actions,
    });
  }
}
