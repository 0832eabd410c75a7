/** The cluster, the workers' task definition, and what a worker may do. */
import { Aws, Fn } from 'aws-cdk-lib';
import type { CfnCondition } from 'aws-cdk-lib';
import { CfnCluster, CfnTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { CfnPolicy, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnLogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Artifacts } from './artifacts.ts';
import { allow, indexArn } from './functions.ts';
import { RTMP_PORTS } from './network.ts';
import { either } from './parameters.ts';
import type { Parameters } from './parameters.ts';
import type { PlaybackDelivery } from './playback.ts';
import type { Records } from './records.ts';

/** The worker's container in its task. */
export const CONTAINER = 'worker';

/** Seconds between SIGTERM and SIGKILL: the most that Fargate grants. */
const STOP_TIMEOUT = 120;

export interface WorkersProps {
  readonly parameters: Parameters;
  readonly artifacts: Artifacts;
  readonly records: Records;
  readonly playback: PlaybackDelivery;
}

export class Workers extends Construct {
  readonly cluster: CfnCluster;
  readonly task: CfnTaskDefinition;
  /** What runs in a worker's container acts as this. */
  readonly role: Role;
  /** ECS itself starts the container as this. */
  readonly executionRole: Role;
  readonly logs: CfnLogGroup;

  constructor(scope: Construct, id: string, { parameters, artifacts, records, playback }: WorkersProps) {
    super(scope, id);
    this.logs = new CfnLogGroup(this, 'Logs', { retentionInDays: parameters.logDays.valueAsNumber });
    this.cluster = new CfnCluster(this, 'Cluster', {
      capacityProviders: [
        'FARGATE',
        'FARGATE_SPOT',
        either(parameters.onEc2, parameters.capacityProvider.valueAsString, Aws.NO_VALUE),
      ],
    });

    const tasks = (description: string) => (name: string) => new Role(this, name, {
      description: `ezlive: ${description}`,
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com'),
    });
    this.role = tasks('a worker')('Role');
    const { jobs, workers, events } = records;
    allow(this.role, ['dynamodb:GetItem', 'dynamodb:UpdateItem'], [jobs.tableArn, workers.tableArn]);
    allow(this.role, ['dynamodb:PutItem'], [events.tableArn]);
    // Who leaves looks for who stays: the next of its job, or enough standbys.
    allow(this.role, ['dynamodb:Query'], [indexArn(workers, 'idle'), indexArn(workers, 'by-state')]);
    allow(this.role, ['dynamodb:BatchGetItem'], [workers.tableArn]);
    publish(this.role, playback, parameters);
    nameIngests(this.role, parameters, ['CREATE', 'DELETE']);

    this.executionRole = tasks('starting a worker')('ExecutionRole');
    allow(this.executionRole, ['logs:CreateLogStream', 'logs:PutLogEvents'], [this.logs.attrArn]);
    allow(
      this.executionRole,
      ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
      [artifacts.repositoryArn],
    );
    // A registry's token is for all of it.
    allow(this.executionRole, ['ecr:GetAuthorizationToken'], ['*']);

    this.task = new CfnTaskDefinition(this, 'Task', {
      family: `${Aws.STACK_NAME}-worker`,
      requiresCompatibilities: [either(parameters.onFargate, 'FARGATE', 'EC2')],
      // An instance's own address and port are the worker's, too.
      networkMode: either(parameters.onFargate, 'awsvpc', 'host'),
      // The size is the launch's: these are a small worker's.
      cpu: '1024',
      memory: '2048',
      runtimePlatform: {
        cpuArchitecture: either(parameters.onArm, 'ARM64', 'X86_64'),
        operatingSystemFamily: 'LINUX',
      },
      taskRoleArn: this.role.roleArn,
      executionRoleArn: this.executionRole.roleArn,
      volumes: [{ name: 'tmp' }],
      containerDefinitions: [{
        name: CONTAINER,
        image: artifacts.image,
        essential: true,
        readonlyRootFilesystem: true,
        user: '10001:10001',
        mountPoints: [{ sourceVolume: 'tmp', containerPath: '/tmp', readOnly: false }],
        linuxParameters: { capabilities: { drop: ['ALL'] }, initProcessEnabled: false },
        // No port is mapped: a task of its own address needs none, and on an
        // instance a mapping would keep a second worker out.
        stopTimeout: STOP_TIMEOUT,
        healthCheck: {
          command: ['CMD', '/usr/local/bin/worker', 'healthy'],
          interval: 10, timeout: 5, retries: 3, startPeriod: 30,
        },
        environment: Object.entries({
          AWS_REGION: Aws.REGION,
          EZLIVE_TABLE_PREFIX: records.prefix,
          EZLIVE_STORE: Fn.join('', ['s3://', playback.bucket.bucketName]),
          EZLIVE_BUCKETS: Fn.join(',', parameters.otherBuckets.valueAsList),
          EZLIVE_RTMP_PORTS: `${RTMP_PORTS.first}-${RTMP_PORTS.last}`,
          EZLIVE_INGEST_HOST: parameters.ingestAddress.valueAsString,
          ...zoneOf(parameters),
          EZLIVE_IDLE_TIMEOUT: parameters.idleTimeout.valueAsString,
          EZLIVE_ALLOW_PULL_FROM: parameters.allowPullFrom.valueAsString,
        }).map(([name, value]) => ({ name, value })),
        logConfiguration: {
          logDriver: 'awslogs',
          options: {
            'awslogs-group': this.logs.ref,
            'awslogs-region': Aws.REGION,
            'awslogs-stream-prefix': CONTAINER,
          },
        },
      }],
    });
  }

  /** The task definition in every revision, as running the newest must go on while the stack changes. */
  get taskFamilyArn(): string {
    return `arn:${Aws.PARTITION}:ecs:${Aws.REGION}:${Aws.ACCOUNT_ID}:task-definition/${Aws.STACK_NAME}-worker:*`;
  }

  /** The cluster's tasks. */
  get tasksArn(): string {
    return `arn:${Aws.PARTITION}:ecs:${Aws.REGION}:${Aws.ACCOUNT_ID}:task/${this.cluster.ref}/*`;
  }
}

/** Lets a role write channels: into the stack's bucket, and into those that the operator has listed. */
export function publish(role: Role, playback: PlaybackDelivery, parameters: Parameters): void {
  const objects = ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'];
  allow(role, objects, [playback.bucket.arnForObjects('*')]);
  // Without it a missing object can't be told from a forbidden one.
  allow(role, ['s3:ListBucket'], [playback.bucket.bucketArn]);
  // The partition is spelt out, as a delimiter can't be computed.
  const others = (suffix: string) => Fn.split(',', Fn.join('', [
    'arn:aws:s3:::',
    Fn.join(`${suffix},arn:aws:s3:::`, parameters.otherBuckets.valueAsList),
    suffix,
  ]));
  allowIf(parameters.hasOtherBuckets, role, 'other-buckets', [
    { Effect: 'Allow', Action: objects, Resource: others('/*') },
    { Effect: 'Allow', Action: 's3:ListBucket', Resource: others('') },
  ]);
}

/** Lets a role do what is granted under a condition: beside it, as what depends on the role must not depend on that. */
function allowIf(condition: CfnCondition, role: Role, name: string, statements: object[]): void {
  const id = name.replace(/(^|-)./g, (start) => start.slice(-1).toUpperCase());
  const policy = new CfnPolicy(role.node.scope!, id, {
    policyName: name,
    roles: [role.roleName],
    policyDocument: { Version: '2012-10-17', Statement: statements },
  });
  policy.cfnOptions.condition = condition;
}

/** The zone, as the programs are told it. */
export function zoneOf(parameters: Parameters): Record<string, string> {
  return {
    EZLIVE_INGEST_ZONE_ID: parameters.hostedZoneId.valueAsString,
    EZLIVE_INGEST_ZONE: parameters.hostedZoneName.valueAsString,
  };
}

/** Lets a role write addresses of jobs in the operator's zone, beside which stands what attempt has written them, and nothing else there. */
export function nameIngests(role: Role, parameters: Parameters, changes: string[]): void {
  const route53 = (resource: string) => `arn:${Aws.PARTITION}:route53:::${resource}`;
  const zone = route53(`hostedzone/${parameters.hostedZoneId.valueAsString}`);
  const key = (name: string) => `route53:ChangeResourceRecordSets${name}`;
  const creates = changes.includes('CREATE');
  allowIf(parameters.hasZone, role, 'ingest-names', [
    {
      Effect: 'Allow',
      Action: 'route53:ChangeResourceRecordSets',
      Resource: zone,
      Condition: {
        'ForAllValues:StringLike': {
          [key('NormalizedRecordNames')]: `*.${parameters.hostedZoneName.valueAsString}`,
        },
        'ForAllValues:StringEquals': { [key('RecordTypes')]: ['A', 'TXT'], [key('Actions')]: changes },
      },
    },
    { Effect: 'Allow', Action: 'route53:ListResourceRecordSets', Resource: zone },
    // Whether a new name is everywhere: changes have ids that Route 53 makes.
    ...(creates ? [{ Effect: 'Allow', Action: 'route53:GetChange', Resource: route53('change/*') }] : []),
  ]);
}
