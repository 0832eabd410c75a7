/** A function of ours: its log, its role, its code. */
import { Fn } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import { CfnLogGroup } from 'aws-cdk-lib/aws-logs';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';
import type { Artifacts } from './artifacts.ts';
import { either } from './parameters.ts';
import type { Parameters } from './parameters.ts';

export interface RustFunctionProps {
  readonly name: 'api' | 'scheduler';
  readonly description: string;
  readonly parameters: Parameters;
  readonly artifacts: Artifacts;
  readonly timeoutSeconds: number;
  readonly environment: Record<string, string>;
}

export class RustFunction extends Construct {
  readonly function: CfnFunction;
  readonly role: Role;
  readonly logs: CfnLogGroup;

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id);
    this.logs = new CfnLogGroup(this, 'Logs', {
      retentionInDays: props.parameters.logDays.valueAsNumber,
    });
    this.role = new Role(this, 'Role', {
      description: `ezlive: ${props.description}`,
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    });
    allow(this.role, ['logs:CreateLogStream', 'logs:PutLogEvents'], [this.logs.attrArn]);
    // X-Ray knows no resources.
    allow(this.role, ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], ['*']);
    this.function = new CfnFunction(this, 'Function', {
      description: props.description,
      runtime: 'provided.al2023',
      handler: 'bootstrap',
      architectures: [either(props.parameters.onArm, 'arm64', 'x86_64')],
      code: props.artifacts.code(props.name),
      role: this.role.roleArn,
      // The CPU comes with the memory: 256 MB is a seventh of a core, which
      // is enough for what only waits for the database.
      memorySize: 256,
      timeout: props.timeoutSeconds,
      tracingConfig: { mode: 'Active' },
      loggingConfig: { logGroup: this.logs.ref },
      environment: { variables: props.environment },
    });
    // The role's rights are there before the first call.
    this.function.node.addDependency(this.role.node.findChild('DefaultPolicy'));
  }
}

/** Lets a role do this, and no more. */
export function allow(role: Role, actions: string[], resources: string[], conditions?: Record<string, unknown>): void {
  role.addToPolicy(new PolicyStatement({ effect: Effect.ALLOW, actions, resources, conditions }));
}

/** The ARN of an index of a table. */
export function indexArn(table: Table, index: string): string {
  return Fn.join('', [table.tableArn, '/index/', index]);
}
