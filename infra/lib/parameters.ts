/**
 * What an operator chooses when they deploy: parameters of the template, so
 * that the same choices are there with CDK and without.
 */
import { CfnCondition, CfnParameter, CfnRule, Fn, Token } from 'aws-cdk-lib';
import type { CfnParameterProps, ICfnConditionExpression, ICfnRuleConditionExpression } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

export type Architecture = 'arm64' | 'x86_64';

export class Parameters {
  readonly architecture: CfnParameter;
  readonly jwtIssuer: CfnParameter;
  readonly jwtAudience: CfnParameter;
  readonly vpcId: CfnParameter;
  readonly subnetIds: CfnParameter;
  readonly ingestFrom: CfnParameter;
  readonly ingestAddress: CfnParameter;
  readonly hostedZoneId: CfnParameter;
  readonly hostedZoneName: CfnParameter;
  readonly capacityProvider: CfnParameter;
  readonly workerSize: CfnParameter;
  readonly maxWorkers: CfnParameter;
  readonly minIdle: CfnParameter;
  readonly idleTimeout: CfnParameter;
  readonly allowPullFrom: CfnParameter;
  readonly otherBuckets: CfnParameter;
  readonly mediaDays: CfnParameter;
  readonly logDays: CfnParameter;
  readonly requestsPerSecond: CfnParameter;
  readonly alarmTopic: CfnParameter;

  readonly onArm: CfnCondition;
  readonly byJwt: CfnCondition;
  readonly ownNetwork: CfnCondition;
  /** Whether workers have no public address. In the stack's own network that is their only way to AWS. */
  readonly hidden: CfnCondition;
  readonly onFargate: CfnCondition;
  readonly onEc2: CfnCondition;
  readonly hasZone: CfnCondition;
  readonly hasOtherBuckets: CfnCondition;
  readonly hasAlarmTopic: CfnCondition;

  constructor(scope: Construct, architecture: Architecture) {
    const parameter = (id: string, props: CfnParameterProps) => new CfnParameter(scope, id, props);
    const condition = (id: string, expression: ICfnConditionExpression) =>
      new CfnCondition(scope, id, { expression });

    this.architecture = parameter('Architecture', {
      description: 'Processor of functions and workers; image and zips must be built for it',
      allowedValues: ['arm64', 'x86_64'],
      default: architecture,
    });
    const auth = parameter('Auth', {
      description: 'Who may call the API: IAM principals (SigV4), or bearers of a JWT',
      allowedValues: ['iam', 'jwt'],
      default: 'iam',
    });
    this.jwtIssuer = parameter('JwtIssuer', {
      description: 'With Auth=jwt: the issuer, as https://cognito-idp.REGION.amazonaws.com/POOL',
      default: '',
    });
    this.jwtAudience = parameter('JwtAudience', {
      description: 'With Auth=jwt: the audience that a token must name',
      default: '',
    });
    this.vpcId = parameter('VpcId', {
      description: 'An own VPC for the workers; empty: the stack makes one with two public subnets',
      default: '',
    });
    this.subnetIds = parameter('SubnetIds', {
      description: 'With VpcId: its subnets for the workers (public ones, for ingest over the internet)',
      type: 'CommaDelimitedList',
      default: '',
    });
    this.ingestFrom = parameter('IngestFrom', {
      description: 'The addresses that may push RTMP, as a CIDR: plain RTMP is not encrypted, so narrow it',
      allowedPattern: '[0-9.]+/[0-9]+',
      default: '0.0.0.0/0',
    });
    this.ingestAddress = parameter('IngestAddress', {
      description:
        'Which of its addresses a worker tells publishers; private in a VPC of your own: it has no public one, '
        + 'and its subnets need NAT, or endpoints for ECR, S3, DynamoDB and logs',
      allowedValues: ['public', 'private'],
      default: 'public',
    });
    this.hostedZoneId = parameter('HostedZoneId', {
      description:
        'A Route 53 zone in which each job has a name to push to, which follows it from worker to worker; '
        + 'empty: publishers are told the address of the worker, which changes with it',
      allowedPattern: '(Z[A-Z0-9]+)?',
      default: '',
    });
    this.hostedZoneName = parameter('HostedZoneName', {
      description: 'With HostedZoneId: the name of that zone, as live.example.com',
      allowedPattern: '([a-z0-9-]+([.][a-z0-9-]+)+)?',
      default: '',
    });
    this.capacityProvider = parameter('CapacityProvider', {
      description:
        'FARGATE, FARGATE_SPOT (cheaper; a channel moves with a short gap when its worker is taken away), ' +
        'or the name of a capacity provider of EC2 instances',
      allowedPattern: '[A-Za-z0-9_-]+',
      default: 'FARGATE',
    });
    this.workerSize = parameter('WorkerSize', {
      description: 'by-job: as its ladder weighs; or one size for all: 1, 4 or 16 cores',
      allowedValues: ['by-job', 'small', 'medium', 'large'],
      default: 'by-job',
    });
    this.maxWorkers = parameter('MaxWorkers', {
      description: 'How many workers there may be at once; 0: no limit',
      type: 'Number',
      minValue: 0,
      default: 20,
    });
    this.minIdle = parameter('MinIdle', {
      description: 'How many workers without a job are kept warm, of MaxWorkers; 0: nothing runs while nobody streams',
      type: 'Number',
      minValue: 0,
      default: 0,
    });
    this.idleTimeout = parameter('IdleTimeout', {
      description: 'Seconds that a worker without a job stays, to take the next one at once',
      type: 'Number',
      minValue: 5,
      default: 300,
    });
    this.allowPullFrom = parameter('AllowPullFrom', {
      description: 'Private networks that inputs may be pulled from, CIDRs separated by commas',
      default: '',
    });
    this.otherBuckets = parameter('OtherBuckets', {
      description: 'Buckets besides its own that jobs may write to, separated by commas',
      type: 'CommaDelimitedList',
      default: '',
    });
    this.mediaDays = parameter('MediaDays', {
      description: 'Days after which media is removed that no deletion has removed',
      type: 'Number',
      minValue: 1,
      default: 7,
    });
    this.logDays = parameter('LogDays', {
      description: 'Days that logs are kept',
      type: 'Number',
      allowedValues: ['1', '3', '7', '14', '30', '90', '180', '365'],
      default: '30',
    });
    this.requestsPerSecond = parameter('RequestsPerSecond', {
      description: 'Calls of the API that are let through: a second, and in a burst',
      type: 'Number',
      minValue: 1,
      default: 50,
    });
    this.alarmTopic = parameter('AlarmTopic', {
      description: 'ARN of the SNS topic that alarms are sent to; empty: they are only shown',
      default: '',
    });

    this.onArm = condition('OnArm', Fn.conditionEquals(this.architecture, 'arm64'));
    this.byJwt = condition('ByJwt', Fn.conditionEquals(auth, 'jwt'));
    this.ownNetwork = condition('OwnNetwork', Fn.conditionEquals(this.vpcId, ''));
    this.hidden = condition('Hidden', Fn.conditionAnd(
      Fn.conditionEquals(this.ingestAddress, 'private'), Fn.conditionNot(Fn.conditionEquals(this.vpcId, '')),
    ));
    this.onFargate = condition(
      'OnFargate',
      Fn.conditionOr(
        Fn.conditionEquals(this.capacityProvider, 'FARGATE'),
        Fn.conditionEquals(this.capacityProvider, 'FARGATE_SPOT'),
      ),
    );
    this.onEc2 = condition('OnEc2', Fn.conditionNot(this.onFargate));
    const isEmpty = (one: CfnParameter) => Fn.conditionEquals(one, '');
    this.hasZone = condition('HasZone', Fn.conditionNot(isEmpty(this.hostedZoneId)));
    // What is told here is told before anything is made.
    const rule = (id: string, assertDescription: string, assert: ICfnRuleConditionExpression) =>
      new CfnRule(scope, id, { assertions: [{ assert, assertDescription }] });
    rule(
      'WholeZone', 'HostedZoneId and HostedZoneName go together',
      Fn.conditionOr(
        Fn.conditionAnd(isEmpty(this.hostedZoneId), isEmpty(this.hostedZoneName)),
        Fn.conditionAnd(
          Fn.conditionNot(isEmpty(this.hostedZoneId)), Fn.conditionNot(isEmpty(this.hostedZoneName)),
        ),
      ),
    );
    // Rules know no Fn::Join, and whether an empty list has one empty member
    // is nowhere said: where no VPC is given, nothing hangs on that.
    rule(
      'WholeNetwork', 'VpcId needs SubnetIds',
      Fn.conditionOr(
        isEmpty(this.vpcId),
        Fn.conditionNot(Fn.conditionEachMemberEquals(this.subnetIds.valueAsList, '')),
      ),
    );
    rule(
      'WholeJwt', 'Auth=jwt needs JwtIssuer and JwtAudience',
      Fn.conditionOr(
        Fn.conditionEquals(auth, 'iam'),
        Fn.conditionAnd(
          Fn.conditionNot(isEmpty(this.jwtIssuer)), Fn.conditionNot(isEmpty(this.jwtAudience)),
        ),
      ),
    );
    this.hasOtherBuckets = condition(
      'HasOtherBuckets',
      Fn.conditionNot(Fn.conditionEquals(Fn.join(',', this.otherBuckets.valueAsList), '')),
    );
    this.hasAlarmTopic = condition(
      'HasAlarmTopic',
      Fn.conditionNot(Fn.conditionEquals(this.alarmTopic, '')),
    );
  }
}

/** One of two values, as a condition holds or not. */
export function either(condition: CfnCondition, yes: string, no: string): string {
  return Token.asString(Fn.conditionIf(condition.logicalId, yes, no));
}
