/** The CDK app. `cdk deploy -c architecture=x86_64 --parameters MaxWorkers=5 …` */
import { App } from 'aws-cdk-lib';
import { EzliveStack } from '../lib/stack.ts';

const app = new App();
const architecture = app.node.tryGetContext('architecture') ?? 'arm64';
if (architecture !== 'arm64' && architecture !== 'x86_64') {
  throw new Error(`-c architecture=${architecture}: it is arm64 or x86_64`);
}
new EzliveStack(app, app.node.tryGetContext('stack') ?? 'ezlive', {
  architecture,
  programs: 'assets',
  description: 'ezlive: live channels as a serverless API',
  env: { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION },
});
