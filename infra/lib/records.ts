/** The tables (as `aws/src/store/tables.rs` makes them elsewhere) and the queue. */
import { Aws, CfnDeletionPolicy, Duration, RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, ProjectionType, Table } from 'aws-cdk-lib/aws-dynamodb';
import type { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** How long the scheduler may take for a batch. */
export const SCHEDULER_TIMEOUT = Duration.seconds(10);

/** How often a message is tried before it is set aside. */
const TRIES = 5;

export class Records extends Construct {
  /** What the tables' names begin with. */
  readonly prefix = Aws.STACK_NAME;
  readonly jobs: Table;
  readonly workers: Table;
  readonly events: Table;
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const text = (name: string) => ({ name, type: AttributeType.STRING });

    this.jobs = this.table('jobs', { partitionKey: text('job_id') });
    this.jobs.addGlobalSecondaryIndex({
      indexName: 'by-state',
      partitionKey: text('state'),
      sortKey: text('job_id'),
      projectionType: ProjectionType.INCLUDE,
      nonKeyAttributes: ['doc'],
    });
    this.workers = this.table('workers', { partitionKey: text('worker_id') });
    for (const [indexName, key] of [['by-state', 'state'], ['idle', 'idle']] as const) {
      this.workers.addGlobalSecondaryIndex({
        indexName,
        partitionKey: text(key),
        sortKey: text('worker_id'),
        projectionType: ProjectionType.KEYS_ONLY,
      });
    }
    this.events = this.table('events', {
      partitionKey: text('job_id'),
      sortKey: { name: 'seq', type: AttributeType.NUMBER },
    });

    this.deadLetters = new Queue(this, 'DeadLetters', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    this.queue = new Queue(this, 'Queue', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // Six times the function's timeout, as AWS advises for a queue that
      // feeds a function.
      visibilityTimeout: Duration.seconds(6 * SCHEDULER_TIMEOUT.toSeconds()),
      // Hints older than an hour help nobody: the sweep has seen to it.
      retentionPeriod: Duration.hours(1),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: TRIES },
    });
  }

  private table(name: string, keys: Pick<ConstructorParameters<typeof Table>[2], 'partitionKey' | 'sortKey'>): Table {
    const table = new Table(this, name, {
      ...keys,
      tableName: `${this.prefix}-${name}`,
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: 'expires_at',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    (table.node.defaultChild as CfnTable).cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
    return table;
  }
}
