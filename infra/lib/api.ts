/** The HTTP API: a route for every call, and the function behind them. */
import { Aws, Fn, Stack } from 'aws-cdk-lib';
import {
  CfnApi, CfnAuthorizer, CfnIntegration, CfnRoute, CfnStage,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { CfnPermission } from 'aws-cdk-lib/aws-lambda';
import { CfnLogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Artifacts } from './artifacts.ts';
import { RustFunction, allow, indexArn } from './functions.ts';
import { either } from './parameters.ts';
import type { Parameters } from './parameters.ts';
import type { PlaybackDelivery } from './playback.ts';
import type { Records } from './records.ts';
import { ROUTES, UNAUTHENTICATED } from './routes.ts';

export interface ApiProps {
  readonly parameters: Parameters;
  readonly artifacts: Artifacts;
  readonly records: Records;
  readonly playback: PlaybackDelivery;
}

export class Api extends Construct {
  readonly api: CfnApi;
  readonly handler: RustFunction;
  readonly accessLogs: CfnLogGroup;

  constructor(scope: Construct, id: string, { parameters, artifacts, records, playback }: ApiProps) {
    super(scope, id);
    this.handler = new RustFunction(this, 'Handler', {
      name: 'api',
      description: 'the API',
      parameters,
      artifacts,
      timeoutSeconds: 10,
      environment: {
        EZLIVE_TABLE_PREFIX: records.prefix,
        EZLIVE_QUEUE_URL: records.queue.queueUrl,
        EZLIVE_PLAYBACK_URL: playback.url,
        EZLIVE_ALLOW_PULL_FROM: parameters.allowPullFrom.valueAsString,
        EZLIVE_BUCKETS: Fn.join(',', parameters.otherBuckets.valueAsList),
      },
    });
    const { role } = this.handler;
    const { jobs, workers, events } = records;
    allow(role, ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem'], [jobs.tableArn]);
    allow(role, ['dynamodb:PutItem', 'dynamodb:Query', 'dynamodb:BatchWriteItem'], [events.tableArn]);
    allow(role, ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:UpdateItem'], [workers.tableArn]);
    allow(role, ['dynamodb:Query'], [indexArn(jobs, 'by-state'), indexArn(workers, 'by-state')]);
    allow(role, ['sqs:SendMessage'], [records.queue.queueArn]);

    this.api = new CfnApi(this, 'Api', {
      name: Aws.STACK_NAME,
      protocolType: 'HTTP',
      description: 'ezlive: live channels',
    });
    const integration = new CfnIntegration(this, 'Integration', {
      apiId: this.api.ref,
      integrationType: 'AWS_PROXY',
      integrationUri: this.handler.function.attrArn,
      payloadFormatVersion: '2.0',
      timeoutInMillis: 11_000,
    });
    const authorizer = new CfnAuthorizer(this, 'Jwt', {
      apiId: this.api.ref,
      name: 'jwt',
      authorizerType: 'JWT',
      identitySource: ['$request.header.Authorization'],
      jwtConfiguration: {
        issuer: parameters.jwtIssuer.valueAsString,
        audience: [parameters.jwtAudience.valueAsString],
      },
    });
    authorizer.cfnOptions.condition = parameters.byJwt;
    for (const route of ROUTES) {
      const open = route === UNAUTHENTICATED;
      new CfnRoute(this, route.replaceAll(/[^A-Za-z]+/g, '-'), {
        apiId: this.api.ref,
        routeKey: route,
        target: `integrations/${integration.ref}`,
        authorizationType: open ? 'NONE' : either(parameters.byJwt, 'JWT', 'AWS_IAM'),
        authorizerId: open ? undefined : either(parameters.byJwt, authorizer.ref, Aws.NO_VALUE),
      });
    }

    this.accessLogs = new CfnLogGroup(this, 'AccessLogs', {
      retentionInDays: parameters.logDays.valueAsNumber,
    });
    const rate = parameters.requestsPerSecond.valueAsNumber;
    new CfnStage(this, 'Stage', {
      apiId: this.api.ref,
      stageName: '$default',
      autoDeploy: true,
      defaultRouteSettings: { throttlingRateLimit: rate, throttlingBurstLimit: rate },
      accessLogSettings: {
        destinationArn: this.accessLogs.attrArn,
        format: JSON.stringify({
          time: '$context.requestTime', request: '$context.requestId', route: '$context.routeKey',
          path: '$context.path', status: '$context.status', ip: '$context.identity.sourceIp',
          caller: '$context.identity.userArn', subject: '$context.authorizer.claims.sub',
          milliseconds: '$context.responseLatency', error: '$context.error.message',
        }),
      },
    });
    new CfnPermission(this, 'Invoke', {
      action: 'lambda:InvokeFunction',
      functionName: this.handler.function.attrArn,
      principal: 'apigateway.amazonaws.com',
      sourceArn: Stack.of(this).formatArn({
        service: 'execute-api', resource: this.api.ref, resourceName: '*/*',
      }),
    });
  }

  /** Where the API is called. */
  get url(): string {
    return `https://${this.api.ref}.execute-api.${Aws.REGION}.${Aws.URL_SUFFIX}`;
  }
}
