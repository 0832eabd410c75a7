/** What cdk-nag's rules ask for and this stack does not do, with the reason of each. */
import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

const REASONS: Record<string, string> = {
  'AwsSolutions-S1':
    'Access logs of a bucket that only workers write and CloudFront reads would cost more than they tell; '
    + 'CloudTrail data events can be switched on for an inquiry.',
  'AwsSolutions-CFR1': 'Viewers may be anywhere; a restriction by country is the operator\'s to add.',
  'AwsSolutions-CFR2': 'Only GET of static objects in a private bucket: there is nothing that a firewall rule would keep out.',
  'AwsSolutions-CFR3': 'Access logs of every segment are a cost that an operator chooses; metrics are there without.',
  'AwsSolutions-CFR4':
    'Without a domain name of the operator\'s own, CloudFront\'s own certificate sets the least TLS version.',
  'AwsSolutions-VPC7': 'Flow logs of live media are dear; the VPC has nothing in it but workers.',
  'AwsSolutions-EC23': 'Encoders push from anywhere by default; IngestFrom narrows it, and a stream key is asked for.',
  'AwsSolutions-APIG4':
    'Every route but GET /health is authorised, by IAM or JWT as a parameter says, which the rule can\'t see through; '
    + 'test/stack.test.ts checks it.',
  'AwsSolutions-ECS2': 'The environment holds names and numbers; there is no secret in it.',
  'AwsSolutions-ECS4': 'Container Insights costs by the task and the worker tells its own numbers.',
  'AwsSolutions-IAM5[Resource::*]':
    'X-Ray, ecr:GetAuthorizationToken and ecs:ListTasks know no narrower resource; the last is bound to the cluster.',
  'AwsSolutions-IAM5[Resource::<PlaybackMediaAC181967.Arn>/*]':
    'Channels are objects under names that are made at run time; the bucket holds nothing else.',
  'AwsSolutions-IAM5[Resource::{"Fn::Split":[",",{"Fn::Join":["",["arn:aws:s3:::",{"Fn::Join":["/*,arn:aws:s3:::",{"Ref":"OtherBuckets"}]},"/*"]]}]}]':
    'The buckets that the operator has listed, and none else.',
  'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:task-definition/<AWS::StackName>-worker:*]':
    'One task definition in all its revisions: a launch in the middle of an update must not fail.',
  'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:route53:::change/*]':
    'Changes of a zone have ids that Route 53 makes; they tell no more than whether they are done.',
  'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:task/<WorkersCluster8F6CEAEA>/*]':
    'Tasks have ids that ECS makes; all of this cluster are workers.',
  'Serverless-SQSRedrivePolicy': 'The queue that has none is the dead-letter queue itself.',
  'Serverless-LambdaDLQ': 'Neither function is called asynchronously: one answers HTTP, one is fed by the queue.',
  'Serverless-LambdaEventSourceMappingDestination': 'A queue\'s failures go to its own dead-letter queue.',
  'Serverless-EventBusDLQ': 'An event that is lost is a hint that is lost: watch and sweep find the dead worker.',
  // CDK's own validation takes a parameter's default for its value.
  'CloudFormation-Validate::W1030': 'The topic is referred to only under the condition that it is given.',
};

/** Acknowledges them for the stack. */
export function acknowledge(stack: IConstruct): void {
  for (const [id, reason] of Object.entries(REASONS)) {
    Validations.of(stack).acknowledge({ id, reason });
  }
}
