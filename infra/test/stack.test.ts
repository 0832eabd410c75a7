/** What must hold of the template, whatever else changes in it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { ROUTES } from '../lib/routes.ts';
import { publishedStack } from '../lib/synthesise.ts';

const template = Template.fromStack(publishedStack());

test('every call has a route, and none but /health is open', () => {
  const routes = Object.values(template.findResources('AWS::ApiGatewayV2::Route')).map((route) => route.Properties);
  assert.deepEqual(routes.map((route) => route.RouteKey).sort(), [...ROUTES].sort());
  for (const route of routes) {
    assert.deepEqual(
      route.AuthorizationType,
      route.RouteKey === 'GET /health' ? 'NONE' : { 'Fn::If': ['ByJwt', 'JWT', 'AWS_IAM'] },
      route.RouteKey,
    );
  }
});

test('the tables have the keys, the indexes and the expiry that the store wants', () => {
  const store = readFileSync(new URL('../../aws/src/store/tables.rs', import.meta.url), 'utf8');
  const named = (constant: string) => new RegExp(`const ${constant}: &str = "([^"]+)"`).exec(store)?.[1];
  const key = (name: string, kind: string) => ({ AttributeName: name, KeyType: kind });
  const table = (name: string, keys: unknown[], indexes: unknown) => template.hasResourceProperties('AWS::DynamoDB::Table', {
    TableName: { 'Fn::Join': ['', [{ Ref: 'AWS::StackName' }, `-${name}`]] },
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: keys,
    GlobalSecondaryIndexes: indexes,
    TimeToLiveSpecification: { AttributeName: named('EXPIRES_AT'), Enabled: true },
  });
  const keysOnly = { ProjectionType: 'KEYS_ONLY' };
  table('jobs', [key('job_id', 'HASH')], [{
    IndexName: named('BY_STATE'),
    KeySchema: [key('state', 'HASH'), key('job_id', 'RANGE')],
    Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['doc'] },
  }]);
  table('workers', [key('worker_id', 'HASH')], [
    { IndexName: named('BY_STATE'), KeySchema: [key('state', 'HASH'), key('worker_id', 'RANGE')], Projection: keysOnly },
    { IndexName: named('IDLE'), KeySchema: [key('idle', 'HASH'), key('worker_id', 'RANGE')], Projection: keysOnly },
  ]);
  table('events', [key('job_id', 'HASH'), key('seq', 'RANGE')], Match.absent());
});

test('the queue outlives the function, and poison is set aside', () => {
  const functions = Object.values(template.findResources('AWS::Lambda::Function')).map((one) => one.Properties);
  const scheduler = functions.find((one) => one.Description === 'the scheduler');
  template.hasResourceProperties('AWS::SQS::Queue', {
    VisibilityTimeout: 6 * scheduler!.Timeout,
    RedrivePolicy: { maxReceiveCount: 5 },
    SqsManagedSseEnabled: true,
  });
  template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
    FunctionResponseTypes: ['ReportBatchItemFailures'],
  });
  for (const one of functions) {
    assert.equal(one.Runtime, 'provided.al2023');
    assert.deepEqual(one.Architectures, [{ 'Fn::If': ['OnArm', 'arm64', 'x86_64'] }]);
  }
});

test('a sweep comes each minute, and the end of a task at once', () => {
  template.hasResourceProperties('AWS::Scheduler::Schedule', {
    ScheduleExpression: 'rate(1 minute)',
    Target: { Input: '{"type":"sweep"}' },
  });
  template.hasResourceProperties('AWS::Events::Rule', {
    EventPattern: {
      source: ['aws.ecs'], 'detail-type': ['ECS Task State Change'], detail: { lastStatus: ['STOPPED'] },
    },
    Targets: [{ InputTransformer: {
      InputPathsMap: { 'detail-startedBy': '$.detail.startedBy' },
      InputTemplate: '{"type":"task_stopped","worker":<detail-startedBy>}',
    } }],
  });
});

test('a worker has no root, no capability, a read-only disk and time to drain', () => {
  template.hasResourceProperties('AWS::ECS::TaskDefinition', {
    ContainerDefinitions: [Match.objectLike({
      ReadonlyRootFilesystem: true,
      User: '10001:10001',
      StopTimeout: 120,
      LinuxParameters: { Capabilities: { Drop: ['ALL'] } },
      HealthCheck: Match.objectLike({ Command: ['CMD', '/usr/local/bin/worker', 'healthy'] }),
    })],
  });
});

test('what a task mounts is a volume of the image, named before its user, as it would be root\'s alone', () => {
  const dockerfile = readFileSync(new URL('../worker.Dockerfile', import.meta.url), 'utf8');
  const volumes = /^VOLUME (\[.*\])\n[^]*?^USER 10001:10001$/m.exec(dockerfile)?.[1] ?? '[]';
  const [task] = Object.values(template.findResources('AWS::ECS::TaskDefinition'));
  const [{ MountPoints: mounts, Environment: environment }] = task.Properties.ContainerDefinitions;
  assert.deepEqual(mounts.map((mount: any) => mount.ContainerPath), JSON.parse(volumes));
  assert.match(dockerfile, /EZLIVE_ALIVE_FILE=\/tmp\//);
  assert.ok(!environment.some(({ Name: name }: any) => name === 'EZLIVE_ALIVE_FILE'));
});

test('a worker is without a public address only where private ingest is in a VPC that has another way out', () => {
  template.hasCondition('Hidden', {
    'Fn::And': [
      { 'Fn::Equals': [{ Ref: 'IngestAddress' }, 'private'] },
      { 'Fn::Not': [{ 'Fn::Equals': [{ Ref: 'VpcId' }, ''] }] },
    ],
  });
  template.hasResourceProperties('AWS::Lambda::Function', {
    Description: 'the scheduler',
    Environment: { Variables: { EZLIVE_PUBLIC_ADDRESS: { 'Fn::If': ['Hidden', 'false', 'true'] } } },
  });
});

/** Whether a rule's assertion holds of these parameters. */
function holds(assertion: any, given: Record<string, string | string[]>): boolean {
  const [[name, parts]] = Object.entries<any>(assertion);
  const value = (part: any) => (typeof part === 'string' ? part : given[part.Ref]);
  switch (name) {
    case 'Fn::And': return parts.every((part: any) => holds(part, given));
    case 'Fn::Or': return parts.some((part: any) => holds(part, given));
    case 'Fn::Not': return !holds(parts[0], given);
    case 'Fn::Equals': return value(parts[0]) === value(parts[1]);
    case 'Fn::EachMemberEquals': return (value(parts[0]) as string[]).every((one) => one === value(parts[1]));
    default: throw new Error(name);
  }
}

test('parameters that need each other are asked for before anything is made', () => {
  const rules = Object.entries<any>(template.toJSON().Rules);
  const broken = (given: Record<string, string | string[]>) => rules.filter(([, { Assertions: [{ Assert: assertion }] }]) => !holds(assertion, {
    HostedZoneId: '', HostedZoneName: '', VpcId: '', SubnetIds: [''], Auth: 'iam', JwtIssuer: '', JwtAudience: '', ...given,
  })).map(([name]) => name);
  assert.deepEqual(broken({}), []);
  assert.deepEqual(broken({ SubnetIds: [] }), []);
  assert.deepEqual(broken({ HostedZoneId: 'Z1' }), ['WholeZone']);
  assert.deepEqual(broken({ HostedZoneId: 'Z1', HostedZoneName: 'live.example.com' }), []);
  for (const SubnetIds of [[''], []]) {
    assert.deepEqual(broken({ VpcId: 'vpc-1', SubnetIds }), ['WholeNetwork']);
  }
  assert.deepEqual(broken({ VpcId: 'vpc-1', SubnetIds: ['subnet-1', 'subnet-2'] }), []);
  assert.deepEqual(broken({ Auth: 'jwt', JwtIssuer: 'https://issuer.example' }), ['WholeJwt']);
  assert.deepEqual(broken({ Auth: 'jwt', JwtIssuer: 'https://issuer.example', JwtAudience: 'ezlive' }), []);
});

/** The statements of every policy, by the role they are attached to. */
function statements(): { role: string; action: string; resource: unknown; condition: unknown }[] {
  return Object.values(template.findResources('AWS::IAM::Policy')).flatMap(({ Properties: policy }) =>
    policy.PolicyDocument.Statement.flatMap((statement: Record<string, any>) => [statement.Action].flat().flatMap(
      (action: string) => [statement.Resource].flat().map((resource: unknown) => ({
        role: policy.Roles[0].Ref as string, action, resource, condition: statement.Condition,
      })),
    )));
}

test('no role may do anything to everything, but where AWS knows no resource', () => {
  const wide = statements().filter(({ resource, action }) => resource === '*' || action.includes('*'));
  assert.deepEqual([...new Set(wide.map(({ action }) => action))].sort(), [
    'ecr:GetAuthorizationToken', 'ecs:ListTasks', 'xray:PutTelemetryRecords', 'xray:PutTraceSegments',
  ]);
  for (const { action, condition } of wide.filter(({ action }) => action.startsWith('ecs:'))) {
    assert.ok(condition, `${action} is bound to the cluster`);
  }
});

test('what a role must not do is not in its policies', () => {
  const may = (role: string) => statements().filter((one) => one.role.startsWith(role)).map(({ action }) => action);
  const refused: [string, string[]][] = [
    ['ApiHandlerRole', ['ecs:', 's3:', 'iam:', 'sqs:ReceiveMessage']],
    ['WorkersRole', ['ecs:', 'sqs:', 'iam:', 'dynamodb:DeleteItem', 'dynamodb:Scan', 'ec2:']],
    ['WorkersExecutionRole', ['ecs:', 'sqs:', 'iam:', 'dynamodb:', 's3:']],
    ['SchedulerSweepRole', ['ecs:', 'iam:', 'dynamodb:', 's3:', 'sqs:ReceiveMessage']],
    ['SchedulerHandlerRole', ['dynamodb:Scan', 'iam:Create', 'iam:Attach']],
  ];
  for (const [role, prefixes] of refused) {
    assert.ok(may(role).length > 0, `${role} is there`);
    for (const prefix of prefixes) {
      assert.deepEqual(may(role).filter((action) => action.startsWith(prefix)), [], role);
    }
  }
});

test('names of ingests are all that the zone grants, and only where there is one', () => {
  const policies = Object.entries(template.findResources('AWS::IAM::Policy'))
    .filter(([name]) => name.includes('IngestNames'));
  const granted = Object.fromEntries(policies.map(([name, { Condition: condition, Properties: policy }]) => {
    assert.equal(condition, 'HasZone', name);
    const [change, ...others] = policy.PolicyDocument.Statement;
    const { 'ForAllValues:StringLike': like, 'ForAllValues:StringEquals': equal } = change.Condition;
    assert.deepEqual(like, {
      'route53:ChangeResourceRecordSetsNormalizedRecordNames': { 'Fn::Join': ['', ['*.', { Ref: 'HostedZoneName' }]] },
    });
    assert.deepEqual(equal['route53:ChangeResourceRecordSetsRecordTypes'], ['A', 'TXT']);
    const zone = { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':route53:::hostedzone/', { Ref: 'HostedZoneId' }]] };
    assert.deepEqual(change.Resource, zone);
    assert.deepEqual(others[0], { Effect: 'Allow', Action: 'route53:ListResourceRecordSets', Resource: zone });
    return [policy.Roles[0].Ref.replace(/Role[0-9A-F]+$/, ''), [
      ...equal['route53:ChangeResourceRecordSetsActions'], ...others.slice(1).map((one: any) => one.Action),
    ]];
  }));
  assert.deepEqual(granted, {
    SchedulerHandler: ['DELETE'], Workers: ['CREATE', 'DELETE', 'route53:GetChange'],
  });
});

test('the bucket is private, encrypted and asked over TLS alone', () => {
  template.hasResourceProperties('AWS::S3::Bucket', {
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true,
    },
    BucketEncryption: Match.anyValue(),
  });
  template.hasResourceProperties('AWS::S3::BucketPolicy', {
    PolicyDocument: { Statement: Match.arrayWith([
      Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      Match.objectLike({
        Effect: 'Allow', Action: 's3:GetObject', Principal: { Service: 'cloudfront.amazonaws.com' },
        Condition: { StringEquals: Match.anyValue() },
      }),
    ]) },
  });
});

test('playlists are kept for a second or two, segments for as long as they say', () => {
  const policies = Object.values(template.findResources('AWS::CloudFront::CachePolicy'))
    .map((policy) => policy.Properties.CachePolicyConfig)
    .map(({ MinTTL, DefaultTTL, MaxTTL }) => [MinTTL, DefaultTTL, MaxTTL]);
  assert.deepEqual(policies.sort((a, b) => a[2] - b[2]), [[0, 1, 2], [1, 86_400, 31_536_000]]);
  template.hasResourceProperties('AWS::CloudFront::Distribution', {
    DistributionConfig: {
      HttpVersion: 'http2and3',
      CacheBehaviors: [Match.objectLike({ PathPattern: '*.m3u8' }), Match.objectLike({ PathPattern: '*.mpd' })],
    },
  });
});

test('what CloudFront names for the whole account has the name of stack and region in it', () => {
  const configs = Object.entries(template.toJSON().Resources as Record<string, { Type: string; Properties: any }>)
    .filter(([, { Type: type }]) => type.startsWith('AWS::CloudFront::'))
    .flatMap(([id, { Properties: properties }]) => Object.values<any>(properties).map(({ Name: name }) => [id, name]))
    .filter(([, name]) => name !== undefined);
  assert.equal(configs.length, 4);
  for (const [id, name] of configs) {
    const [stack, dash, region, what] = name['Fn::Join'][1];
    assert.deepEqual([stack, dash, region], [{ Ref: 'AWS::StackName' }, '-', { Ref: 'AWS::Region' }], id);
    assert.match(what, /^-[a-z]{1,9}$/, id);
  }
});

test('every log ends some day, and every alarm is in the runbook', () => {
  template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: { Ref: 'LogDays' } });
  const runbook = readFileSync(new URL('../RUNBOOK.md', import.meta.url), 'utf8');
  for (const { Properties: alarm } of Object.values(template.findResources('AWS::CloudWatch::Alarm'))) {
    const name = /RUNBOOK\.md, (\w+)$/.exec(alarm.AlarmDescription)?.[1];
    assert.ok(name && runbook.includes(`### ${name}`), alarm.AlarmDescription);
  }
});

/** The log lines that make this metric, by the log they are in. */
function counted(metric: string): Record<string, string[]> {
  const filters = Object.values(template.findResources('AWS::Logs::MetricFilter')).map((filter) => filter.Properties)
    .filter((filter) => filter.MetricTransformations[0].MetricName === metric);
  return Object.fromEntries(filters.map(({ LogGroupName: log, FilterPattern: pattern }) => [
    (log.Ref as string).replace(/Logs[0-9A-F]+$/, ''),
    [...(pattern as string).matchAll(/\$\.message = "([^"]+)"/g)].map(([, message]) => message),
  ]));
}

test('what the metrics are made of is what the programs log', () => {
  const source = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const logged: Record<string, string> = {
    'job failed': 'aws/src/store/commit.rs',
    'worker lost': 'functions/src/scheduler/watch.rs',
    'a worker that beats no more: closed': 'functions/src/scheduler/sweep.rs',
    'will come again': 'functions/src/scheduler/mod.rs',
    'not swept': 'functions/src/scheduler/sweep.rs',
    'could not end the worker': 'functions/src/scheduler/watch.rs',
    'the media store fails; trying again': 'worker/src/publisher/task.rs',
    'segments left out: the store is too slow': 'worker/src/publisher/task.rs',
  };
  const filters = Object.values(template.findResources('AWS::Logs::MetricFilter'));
  const messages = new Set(filters.flatMap((filter) => Object.values(
    counted(filter.Properties.MetricTransformations[0].MetricName),
  )).flat());
  assert.deepEqual([...messages].sort(), Object.keys(logged).sort());
  for (const [message, file] of Object.entries(logged)) {
    assert.ok(source(file).includes(`"${message}"`), `${file} logs "${message}"`);
  }
  assert.match(source('worker/src/publisher/task.rs'), /upload_lag_ms = /);
  assert.match(source('worker/src/publisher/task.rs'), /, dropped, "segments left out/);
});

/** The alarm of this name. */
function alarm(name: string): Record<string, unknown> {
  const found = Object.values(template.findResources('AWS::CloudWatch::Alarm'))
    .find(({ Properties: properties }) => properties.AlarmDescription.endsWith(`RUNBOOK.md, ${name}`));
  assert.ok(found, name);
  return found.Properties;
}

test('three workers that die within five minutes, with a job or without, are told', () => {
  const { Statistic, Period, EvaluationPeriods, Threshold } = alarm('WorkersLost');
  assert.deepEqual([Statistic, Period, EvaluationPeriods, Threshold], ['Sum', 300, 1, 3]);
  assert.deepEqual(counted('WorkersLost'), { SchedulerHandler: ['worker lost', 'a worker that beats no more: closed'] });
});

test('what fails while the scheduler runs is told', () => {
  const { Statistic, Period, EvaluationPeriods, Threshold } = alarm('SchedulerFailures');
  assert.deepEqual([Statistic, Period, EvaluationPeriods, Threshold], ['Sum', 300, 1, 3]);
  assert.deepEqual(counted('SchedulerFailures'), {
    SchedulerHandler: ['will come again', 'not swept', 'could not end the worker'],
  });
});

test('a store that is away is told at once, and so is what it costs', () => {
  for (const name of ['StoreFails', 'SegmentsDropped']) {
    const { Statistic, Period, EvaluationPeriods, Threshold } = alarm(name);
    assert.deepEqual([Statistic, Period, EvaluationPeriods, Threshold], ['Sum', 60, 1, 1], name);
  }
  assert.deepEqual(counted('StoreFails'), { Workers: ['the media store fails; trying again'] });
  template.hasResourceProperties('AWS::Logs::MetricFilter', {
    MetricTransformations: [Match.objectLike({ MetricName: 'SegmentsDropped', MetricValue: '$.dropped' })],
  });
});

test('the functions are told by name, to be deployed alone', () => {
  for (const [output, description] of [['ApiFunction', 'the API'], ['SchedulerFunction', 'the scheduler']]) {
    const [{ Value: { Ref: id } }] = Object.values(template.findOutputs(output));
    assert.equal(template.toJSON().Resources[id].Properties.Description, description);
  }
});
