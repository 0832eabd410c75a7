/** Where the workers are: a VPC of the stack's own, or the operator's. */
import { Fn, Tags } from 'aws-cdk-lib';
import {
  CfnInternetGateway, CfnRoute, CfnRouteTable, CfnSecurityGroup, CfnSubnet,
  CfnSubnetRouteTableAssociation, CfnVPC, CfnVPCGatewayAttachment,
} from 'aws-cdk-lib/aws-ec2';
import type { CfnResource } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { either } from './parameters.ts';
import type { Parameters } from './parameters.ts';

/** Ports that workers listen on for RTMP: one each, on instances that they share. */
export const RTMP_PORTS = { first: 1935, last: 1999 };

export class Network extends Construct {
  /** The workers' subnets, with commas between them. */
  readonly subnets: string;
  readonly securityGroup: string;

  constructor(scope: Construct, id: string, parameters: Parameters) {
    super(scope, id);
    const own = <T extends CfnResource>(resource: T): T => {
      resource.cfnOptions.condition = parameters.ownNetwork;
      return resource;
    };

    const vpc = own(new CfnVPC(this, 'Vpc', {
      cidrBlock: '10.77.0.0/16', enableDnsHostnames: true, enableDnsSupport: true,
    }));
    const gateway = own(new CfnInternetGateway(this, 'Gateway'));
    const attached = own(new CfnVPCGatewayAttachment(this, 'Attachment', {
      vpcId: vpc.ref, internetGatewayId: gateway.ref,
    }));
    const routes = own(new CfnRouteTable(this, 'Routes', { vpcId: vpc.ref }));
    const out = own(new CfnRoute(this, 'Out', {
      routeTableId: routes.ref, destinationCidrBlock: '0.0.0.0/0', gatewayId: gateway.ref,
    }));
    out.addResourceDependency(attached);
    // Public subnets without NAT: a worker needs an address of its own for
    // its publisher, and NAT would cost more than the rest of an idle stack.
    const subnets = [0, 1].map((zone) => {
      const subnet = own(new CfnSubnet(this, `Subnet${zone}`, {
        vpcId: vpc.ref,
        cidrBlock: `10.77.${zone}.0/24`,
        availabilityZone: Fn.select(zone, Fn.getAzs()),
      }));
      own(new CfnSubnetRouteTableAssociation(this, `Route${zone}`, {
        subnetId: subnet.ref, routeTableId: routes.ref,
      }));
      return subnet.ref;
    });
    Tags.of(this).add('Name', 'ezlive');

    const group = new CfnSecurityGroup(this, 'Workers', {
      groupDescription: 'ezlive workers: RTMP from publishers, anything out',
      vpcId: either(parameters.ownNetwork, vpc.ref, parameters.vpcId.valueAsString),
      securityGroupIngress: [{
        ipProtocol: 'tcp',
        fromPort: RTMP_PORTS.first,
        toPort: RTMP_PORTS.last,
        cidrIp: parameters.ingestFrom.valueAsString,
        description: 'RTMP from publishers',
      }],
      securityGroupEgress: [{
        ipProtocol: '-1', cidrIp: '0.0.0.0/0', description: 'Inputs that are pulled, and AWS',
      }],
    });
    this.securityGroup = group.attrGroupId;
    this.subnets = either(
      parameters.ownNetwork,
      Fn.join(',', subnets),
      Fn.join(',', parameters.subnetIds.valueAsList),
    );
  }
}
