/** The stack as the template that is published: no CDK needed, no assets. */
import { App, DefaultStackSynthesizer } from 'aws-cdk-lib';
import { EzliveStack } from './stack.ts';

/** The stack whose programs parameters name. */
export function publishedStack(): EzliveStack {
  const app = new App({ analyticsReporting: false });
  return new EzliveStack(app, 'ezlive', {
    architecture: 'arm64',
    programs: 'named',
    description: 'ezlive: live channels as a serverless API',
    synthesizer: new DefaultStackSynthesizer({ generateBootstrapVersionRule: false }),
  });
}

/** Its template. */
export function publishedTemplate(): Record<string, unknown> {
  const stack = publishedStack();
  const assembly = (stack.node.root as App).synth();
  return assembly.getStackByName(stack.stackName).template;
}
