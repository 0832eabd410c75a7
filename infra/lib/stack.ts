/** The whole of ezlive on AWS. */
import { CfnOutput, Stack } from 'aws-cdk-lib';
import type { StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledged.ts';
import { Api } from './api.ts';
import { assets, named } from './artifacts.ts';
import { Network } from './network.ts';
import { Operations } from './operations.ts';
import { Parameters } from './parameters.ts';
import type { Architecture } from './parameters.ts';
import { PlaybackDelivery } from './playback.ts';
import { Records } from './records.ts';
import { Scheduler } from './scheduler.ts';
import { Workers } from './workers.ts';

export interface EzliveStackProps extends StackProps {
  /** What the programs are built for. */
  readonly architecture: Architecture;
  /** Whether CDK uploads the programs, or parameters name them. */
  readonly programs: 'assets' | 'named';
}

export class EzliveStack extends Stack {
  constructor(scope: Construct, id: string, props: EzliveStackProps) {
    super(scope, id, props);
    const parameters = new Parameters(this, props.architecture);
    const artifacts = props.programs === 'assets' ? assets(this, props.architecture) : named(this);
    const records = new Records(this, 'Records');
    const playback = new PlaybackDelivery(this, 'Playback', parameters);
    const network = new Network(this, 'Network', parameters);
    const api = new Api(this, 'Api', { parameters, artifacts, records, playback });
    const workers = new Workers(this, 'Workers', { parameters, artifacts, records, playback });
    const scheduler = new Scheduler(this, 'Scheduler', {
      parameters, artifacts, records, playback, network, workers,
    });
    new Operations(this, 'Operations', { parameters, records, api, scheduler, workers });

    acknowledge(this);

    const output = (name: string, description: string, value: string) =>
      new CfnOutput(this, name, { description, value });
    output('ApiUrl', 'Where the API is called: ezlive --url', api.url);
    output('PlaybackUrl', 'What playback URLs begin with', playback.url);
    output('MediaBucket', 'The bucket of the channels; empty it before the stack is deleted', playback.bucket.bucketName);
    output('Cluster', 'The ECS cluster of the workers', workers.cluster.ref);
    output('ApiFunction', "The API's function, for code alone", api.handler.function.ref);
    output('SchedulerFunction', "The scheduler's function, for code alone", scheduler.handler.function.ref);
    output('QueueUrl', "The scheduler's queue", records.queue.queueUrl);
    output('DeadLetterUrl', 'Where messages are set aside', records.deadLetters.queueUrl);
  }
}
