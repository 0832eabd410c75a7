/**
 * Where the programs come from: built and uploaded by CDK, or named by
 * parameters where the template is deployed without it.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Aws, CfnParameter, Fn, Stack } from 'aws-cdk-lib';
import { DockerImageAsset, Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { Architecture } from './parameters.ts';

export interface Artifacts {
  /** The code of the function of this name: `api` or `scheduler`. */
  code(name: 'api' | 'scheduler'): CfnFunction.CodeProperty;
  /** The workers' image. */
  readonly image: string;
  /** The repository that it is pulled from. */
  readonly repositoryArn: string;
}

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Programs that CDK uploads: the zips of `cargo lambda build`, and the image that it has built. */
export function assets(scope: Construct, architecture: Architecture): Artifacts {
  const image = new DockerImageAsset(scope, 'WorkerImage', {
    directory: ROOT,
    file: 'infra/worker.Dockerfile',
    platform: architecture === 'arm64' ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64,
    exclude: ['target', '**/node_modules', '.git', 'infra/cdk.out', '.venv*', 'ezlive-data'],
  });
  return {
    code(name) {
      const zip = new Asset(scope, `${name}-code`, { path: path.join(ROOT, 'target/lambda', name, 'bootstrap.zip') });
      return { s3Bucket: zip.s3BucketName, s3Key: zip.s3ObjectKey };
    },
    image: image.imageUri,
    repositoryArn: image.repository.repositoryArn,
  };
}

/** Programs that parameters name. */
export function named(scope: Construct): Artifacts {
  const parameter = (id: string, description: string, defaultValue?: string) =>
    new CfnParameter(scope, id, { description, default: defaultValue }).valueAsString;
  const bucket = parameter('CodeBucket', "The bucket of the functions' zips, in the stack's region");
  const keys = {
    api: parameter('ApiCodeKey', "Key of the API's zip in it", 'api.zip'),
    scheduler: parameter('SchedulerCodeKey', "Key of the scheduler's zip in it", 'scheduler.zip'),
  };
  const repository = parameter('WorkerRepository', "Name of the ECR repository of the workers' image", 'ezlive-worker');
  const tag = parameter('WorkerTag', 'Tag of the image in it', 'latest');
  return {
    code: (name) => ({ s3Bucket: bucket, s3Key: keys[name] }),
    image: Fn.join('', [
      Aws.ACCOUNT_ID, '.dkr.ecr.', Aws.REGION, '.', Aws.URL_SUFFIX, '/', repository, ':', tag,
    ]),
    repositoryArn: Stack.of(scope).formatArn({ service: 'ecr', resource: 'repository', resourceName: repository }),
  };
}
