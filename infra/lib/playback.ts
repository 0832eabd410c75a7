/** The bucket that workers publish to, and CloudFront before it. */
import { Aws, CfnDeletionPolicy, Duration, Fn, RemovalPolicy } from 'aws-cdk-lib';
import {
  AllowedMethods, CachePolicy, Distribution, HeadersFrameOption, HttpVersion,
  ResponseHeadersPolicy, S3OriginAccessControl, Signing, ViewerProtocolPolicy,
} from 'aws-cdk-lib/aws-cloudfront';
import { S3BucketOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption, CfnBucket, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import type { Parameters } from './parameters.ts';

export class PlaybackDelivery extends Construct {
  readonly bucket: Bucket;
  readonly distribution: Distribution;
  /** What every playback URL begins with. */
  readonly url: string;

  constructor(scope: Construct, id: string, parameters: Parameters) {
    super(scope, id);
    this.bucket = new Bucket(this, 'Media', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: RemovalPolicy.DESTROY,
      lifecycleRules: [{
        abortIncompleteMultipartUploadAfter: Duration.days(1),
        expiration: Duration.days(7),
      }],
    });
    const media = this.bucket.node.defaultChild as CfnBucket;
    // A bucket with media in it can't be removed with its stack: a person
    // empties it first, knowing what they do.
    media.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
    media.addPropertyOverride(
      'LifecycleConfiguration.Rules.0.ExpirationInDays', parameters.mediaDays.valueAsNumber,
    );

    // These names are the account's, over all regions: each stack has its own.
    const named = (what: string) => `${Aws.STACK_NAME}-${Aws.REGION}-${what}`;
    // What the publisher says in Cache-Control holds within these bounds.
    const playlists = new CachePolicy(this, 'Playlists', {
      cachePolicyName: named('playlists'),
      comment: 'ezlive playlists: a second',
      minTtl: Duration.seconds(0),
      defaultTtl: Duration.seconds(1),
      maxTtl: Duration.seconds(2),
      enableAcceptEncodingGzip: true,
      enableAcceptEncodingBrotli: true,
    });
    const segments = new CachePolicy(this, 'Segments', {
      cachePolicyName: named('segments'),
      comment: 'ezlive segments: their bytes never change',
      minTtl: Duration.seconds(1),
      defaultTtl: Duration.days(1),
      maxTtl: Duration.days(365),
    });
    const headers = new ResponseHeadersPolicy(this, 'Headers', {
      responseHeadersPolicyName: named('headers'),
      comment: 'ezlive: players on any page',
      corsBehavior: {
        accessControlAllowCredentials: false,
        accessControlAllowHeaders: ['*'],
        accessControlAllowMethods: ['GET', 'HEAD'],
        accessControlAllowOrigins: ['*'],
        accessControlExposeHeaders: ['Date', 'ETag', 'Content-Length', 'Age'],
        accessControlMaxAge: Duration.days(1),
        originOverride: true,
      },
      securityHeadersBehavior: {
        contentTypeOptions: { override: true },
        frameOptions: { frameOption: HeadersFrameOption.DENY, override: true },
        strictTransportSecurity: { accessControlMaxAge: Duration.days(365), override: true },
      },
    });
    const behaviour = (cachePolicy: CachePolicy, compress: boolean) => ({
      origin,
      cachePolicy,
      compress,
      responseHeadersPolicy: headers,
      allowedMethods: AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
      viewerProtocolPolicy: ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
    });
    const origin = S3BucketOrigin.withOriginAccessControl(this.bucket, {
      originAccessControl: new S3OriginAccessControl(this, 'OriginAccess', {
        // At most 64 characters: a stack's name may have 43 of them.
        originAccessControlName: named('media'),
        signing: Signing.SIGV4_ALWAYS,
      }),
    });
    this.distribution = new Distribution(this, 'Distribution', {
      comment: 'ezlive playback',
      httpVersion: HttpVersion.HTTP2_AND_3,
      defaultBehavior: behaviour(segments, false),
      additionalBehaviors: {
        '*.m3u8': behaviour(playlists, true),
        '*.mpd': behaviour(playlists, true),
      },
      // What is not there yet is there soon: S3 says 403 of it, as nobody
      // may list the bucket.
      errorResponses: [403, 404].map((httpStatus) => ({ httpStatus, ttl: Duration.seconds(1) })),
    });
    // The object the playlists are derived from is the workers' own.
    this.bucket.addToResourcePolicy(new PolicyStatement({
      effect: Effect.DENY,
      principals: [new ServicePrincipal('cloudfront.amazonaws.com')],
      actions: ['s3:GetObject'],
      resources: [this.bucket.arnForObjects('*/timeline.json')],
    }));
    this.url = Fn.join('', ['https://', this.distribution.distributionDomainName]);
  }
}
