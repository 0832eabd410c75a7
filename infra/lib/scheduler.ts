/** The scheduler: its function, what feeds its queue, and what it may do. */
import { Aws, Fn } from 'aws-cdk-lib';
import { EventField, Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnEventSourceMapping } from 'aws-cdk-lib/aws-lambda';
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import type { Artifacts } from './artifacts.ts';
import { RustFunction, allow, indexArn } from './functions.ts';
import type { Network } from './network.ts';
import { either } from './parameters.ts';
import type { Parameters } from './parameters.ts';
import type { PlaybackDelivery } from './playback.ts';
import { SCHEDULER_TIMEOUT } from './records.ts';
import type { Records } from './records.ts';
import { CONTAINER, nameIngests, publish, zoneOf } from './workers.ts';
import type { Workers } from './workers.ts';

export interface SchedulerProps {
  readonly parameters: Parameters;
  readonly artifacts: Artifacts;
  readonly records: Records;
  readonly playback: PlaybackDelivery;
  readonly network: Network;
  readonly workers: Workers;
}

export class Scheduler extends Construct {
  readonly handler: RustFunction;

  constructor(scope: Construct, id: string, props: SchedulerProps) {
    super(scope, id);
    const { parameters, artifacts, records, playback, network, workers } = props;
    this.handler = new RustFunction(this, 'Handler', {
      name: 'scheduler',
      description: 'the scheduler',
      parameters,
      artifacts,
      timeoutSeconds: SCHEDULER_TIMEOUT.toSeconds(),
      environment: {
        EZLIVE_TABLE_PREFIX: records.prefix,
        EZLIVE_QUEUE_URL: records.queue.queueUrl,
        EZLIVE_STORE: Fn.join('', ['s3://', playback.bucket.bucketName]),
        EZLIVE_BUCKETS: Fn.join(',', parameters.otherBuckets.valueAsList),
        ...zoneOf(parameters),
        EZLIVE_MAX_WORKERS: parameters.maxWorkers.valueAsString,
        EZLIVE_MIN_IDLE: parameters.minIdle.valueAsString,
        EZLIVE_WORKER_SIZE: parameters.workerSize.valueAsString,
        EZLIVE_ECS_CLUSTER: workers.cluster.ref,
        EZLIVE_TASK_DEFINITION: workers.task.ref,
        EZLIVE_CONTAINER: CONTAINER,
        EZLIVE_CAPACITY_PROVIDER: parameters.capacityProvider.valueAsString,
        // Tasks on instances have the instance's network.
        EZLIVE_SUBNETS: either(parameters.onFargate, network.subnets, ''),
        EZLIVE_SECURITY_GROUPS: either(parameters.onFargate, network.securityGroup, ''),
        EZLIVE_PUBLIC_ADDRESS: either(parameters.hidden, 'false', 'true'),
      },
    });
    this.grant(props);

    new CfnEventSourceMapping(this, 'Messages', {
      eventSourceArn: records.queue.queueArn,
      functionName: this.handler.function.ref,
      batchSize: 10,
      functionResponseTypes: ['ReportBatchItemFailures'],
      scalingConfig: { maximumConcurrency: 50 },
    });

    this.sweepEachMinute(records);
    this.hearOfStoppedTasks(records, workers);
  }

  private grant({ parameters, records, playback, workers }: SchedulerProps): void {
    const { role } = this.handler;
    const tables = { jobs: records.jobs, workers: records.workers };
    allow(role, ['dynamodb:GetItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem'], [tables.jobs.tableArn]);
    allow(
      role,
      ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'],
      [tables.workers.tableArn],
    );
    allow(role, ['dynamodb:PutItem', 'dynamodb:Query', 'dynamodb:BatchWriteItem'], [records.events.tableArn]);
    allow(role, ['dynamodb:Query'], [
      indexArn(tables.jobs, 'by-state'), indexArn(tables.workers, 'by-state'), indexArn(tables.workers, 'idle'),
    ]);
    allow(
      role,
      ['sqs:SendMessage', 'sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
      [records.queue.queueArn],
    );
    const inCluster = { ArnEquals: { 'ecs:cluster': workers.cluster.attrArn } };
    allow(role, ['ecs:RunTask'], [workers.taskFamilyArn], inCluster);
    allow(role, ['ecs:StopTask'], [workers.tasksArn], inCluster);
    // Listing knows no resource but the cluster of its condition.
    allow(role, ['ecs:ListTasks'], ['*'], inCluster);
    allow(role, ['iam:PassRole'], [workers.role.roleArn, workers.executionRole.roleArn], {
      StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
    });
    publish(role, playback, parameters);
    // Of a job that ended without its worker.
    nameIngests(role, parameters, ['DELETE']);
  }

  private sweepEachMinute(records: Records): void {
    const role = new Role(this, 'SweepRole', {
      description: 'ezlive: the sweep each minute',
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
      }),
    });
    allow(role, ['sqs:SendMessage'], [records.queue.queueArn]);
    const schedule = new CfnSchedule(this, 'Sweep', {
      description: 'ezlive: put right what lost messages left behind',
      scheduleExpression: 'rate(1 minute)',
      flexibleTimeWindow: { mode: 'OFF' },
      target: {
        arn: records.queue.queueArn,
        roleArn: role.roleArn,
        input: JSON.stringify({ type: 'sweep' }),
        // The next one comes in a minute.
        retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 },
      },
    });
    schedule.node.addDependency(role.node.findChild('DefaultPolicy'));
  }

  private hearOfStoppedTasks(records: Records, workers: Workers): void {
    const rule = new Rule(this, 'TaskStopped', {
      description: 'ezlive: a worker has ended',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Task State Change'],
        detail: { clusterArn: [workers.cluster.attrArn], lastStatus: ['STOPPED'] },
      },
    });
    // A worker's task is started by its id.
    rule.addTarget(new SqsQueue(records.queue, {
      message: RuleTargetInput.fromObject({
        type: 'task_stopped', worker: EventField.fromPath('$.detail.startedBy'),
      }),
    }));
  }
}
