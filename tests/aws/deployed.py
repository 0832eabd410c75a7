"""The stack as it is published, deployed to the emulator, and what tests ask of it."""

import json
import re
import subprocess
import time
from urllib.parse import urlsplit

import yaml

from emulator import ACCOUNT, REGION, ROOT, Api, wait_for

TEMPLATE = ROOT / "infra" / "template.yaml"
ZIPS = ROOT / "target" / "lambda"
SAMPLE = json.loads((ROOT / "live_job.json").read_text())
IMAGE = "ezlive-worker"
CODE = "ezlive-code"


def template(container_environment):
    """The published template, but for four things that the emulator lacks.
    It has no TLS: the statements that refuse calls without are left out. It
    takes the cluster for the resource of ECS's calls, which on AWS is their
    condition; and changes of a zone for no resource. And the SDKs take a task's
    credentials over plain HTTP only from the addresses of ECS: they are put
    into the worker's environment."""
    document = yaml.safe_load(TEMPLATE.read_text())
    for resource in document["Resources"].values():
        for statement in resource["Properties"].get("PolicyDocument", {}).get("Statement", []):
            cluster = statement.get("Condition", {}).get("ArnEquals", {}).get("ecs:cluster")
            if cluster:
                del statement["Condition"]
                statement["Resource"] = cluster
            if statement["Action"] == "route53:GetChange":
                statement["Resource"] = "*"
        if resource["Type"] in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
            policy = resource["Properties"]["PolicyDocument"]
            policy["Statement"] = [one for one in policy["Statement"] if "aws:SecureTransport" not in str(one)]
    document["Resources"] = {
        name: resource for name, resource in document["Resources"].items()
        if resource["Properties"].get("PolicyDocument", {}).get("Statement") != []
    }
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::ECS::TaskDefinition":
            container = resource["Properties"]["ContainerDefinitions"][0]
            container["Environment"] += [{"Name": k, "Value": v} for k, v in container_environment.items()]
    return yaml.safe_dump(document)


class Deployed:
    """The stack under a name of its own."""

    def __init__(self, emulator, name, image_tag, parameters=None, container_environment=None, zone=None):
        self.emulator = emulator
        self.name = name
        self.zone = None
        if zone:
            made = emulator.client("route53").create_hosted_zone(Name=zone, CallerReference=name)["HostedZone"]
            self.zone = made["Id"].removeprefix("/hostedzone/")
            parameters = {"HostedZoneId": self.zone, "HostedZoneName": zone, **(parameters or {})}
        self.cfn = emulator.client("cloudformation")
        self._upload()
        image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{IMAGE}:{image_tag}"
        emulator.podman("tag", f"{IMAGE}:{image_tag}", image)
        chosen = {
            "Architecture": "x86_64", "CodeBucket": CODE, "WorkerRepository": IMAGE, "WorkerTag": image_tag,
            "IngestAddress": "private", "IdleTimeout": "5",
            # Tasks on instances share their network: here this machine's.
            "CapacityProvider": "instances", **(parameters or {}),
        }
        environment = {
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ALLOW_HTTP": "true",
            **(container_environment or {}),
        }
        began = time.monotonic()
        self.cfn.create_stack(
            # It is larger than what a call may carry.
            StackName=name, TemplateURL=self._upload_template(template(environment)), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in chosen.items()],
        )
        status = wait_for("the stack", lambda: self._ended("CREATE"), 120)
        assert status == "CREATE_COMPLETE", self.events()
        self.seconds = time.monotonic() - began
        self.resources = {
            r["LogicalResourceId"]: r
            for page in self.cfn.get_paginator("list_stack_resources").paginate(StackName=name)
            for r in page["StackResourceSummaries"]
        }
        described = self.cfn.describe_stacks(StackName=name)["Stacks"][0]
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in described["Outputs"]}
        self.api = Api(emulator, re.search(r"//([^.]+)\.", self.outputs["ApiUrl"]).group(1))

    def _upload(self):
        s3 = self.emulator.client("s3")
        s3.create_bucket(Bucket=CODE)
        for name in ("api", "scheduler"):
            s3.upload_file(str(ZIPS / name / "bootstrap.zip"), CODE, f"{name}.zip")

    def _upload_template(self, text):
        key = f"{self.name}.yaml"
        self.emulator.client("s3").put_object(Bucket=CODE, Key=key, Body=text.encode())
        return f"{self.emulator.url}/{CODE}/{key}"

    def _ended(self, verb):
        try:
            status = self.cfn.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
        except self.cfn.exceptions.ClientError:
            return f"{verb}_COMPLETE" if verb == "DELETE" else None
        return status if not status.endswith("_IN_PROGRESS") else None

    def events(self):
        return [
            (e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason"))
            for e in self.cfn.describe_stack_events(StackName=self.name)["StackEvents"]
            if "FAILED" in e["ResourceStatus"]
        ]

    def delete(self):
        """Empties the bucket, as the runbook says, and deletes the stack."""
        s3 = self.emulator.client("s3")
        bucket = self.outputs["MediaBucket"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=item["Key"])
        self.cfn.delete_stack(StackName=self.name)
        status = wait_for("the deletion", lambda: self._ended("DELETE"), 120)
        assert status == "DELETE_COMPLETE", self.events()

    def physical(self, kind, like=""):
        """The physical ids of a kind of resource."""
        return [
            r["PhysicalResourceId"] for r in self.resources.values()
            if r["ResourceType"] == kind and like in r["LogicalResourceId"]
        ]

    def containers(self):
        """The running containers of this stack's cluster, newest first."""
        listed = self.emulator.podman(
            "ps", "--filter", f"label=com.amazonaws.ecs.task-definition-family={self.name}-worker",
            "--format", "{{.ID}}",
        )
        return listed.split()

    def launched(self):
        """The workers that tasks run for. ECS starts one task for a client
        token, which is the worker's id, however often it is asked; the
        emulator does not look at the token, so tasks can't be counted."""
        ecs = self.emulator.client("ecs")
        cluster = self.outputs["Cluster"]
        arns = ecs.list_tasks(cluster=cluster)["taskArns"]
        tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        return {task["startedBy"] for task in tasks if task["lastStatus"] != "STOPPED"}

    # The walk of one job.

    def container_runs_as(self, keys):
        """Registers the task definition anew with these credentials in the worker's container, by an update."""
        environment = {
            "AWS_ACCESS_KEY_ID": keys["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": keys["aws_secret_access_key"], "AWS_ALLOW_HTTP": "true",
        }
        described = self.cfn.describe_stacks(StackName=self.name)["Stacks"][0]
        self.cfn.update_stack(
            StackName=self.name, TemplateURL=self._upload_template(template(environment)),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": p["ParameterKey"], "UsePreviousValue": True} for p in described["Parameters"]],
        )
        status = wait_for("the update", lambda: self._ended("UPDATE"), 120)
        assert status == "UPDATE_COMPLETE", self.events()

    def create(self, spec=None):
        status, job = self.api.call("POST", "/jobs", spec or SAMPLE)
        assert status == 201, job
        return job["id"]

    def job(self, job_id):
        status, job = self.api.call("GET", f"/jobs/{job_id}")
        assert status == 200, job
        return job

    def until(self, job_id, state, seconds=60):
        def look():
            job = self.job(job_id)
            assert job["state"] == state or job["state"] != "failed", job
            return job if job["state"] == state else None
        return wait_for(f"job {state}", look, seconds)

    def ingest(self, job_id, seconds=60):
        """The ingest of a job that listens, with the address that its name leads to."""
        ingest = wait_for("the ingest", lambda: self.job(job_id)["ingest"], seconds)
        host = urlsplit(ingest["url"]).hostname
        address = self.records_of(host).get("A", host)
        return {**ingest, "url": ingest["url"].replace(host, address)}

    def records_of(self, host):
        """What the zone has under a name, by type."""
        if not self.zone:
            return {}
        listed = self.emulator.client("route53").list_resource_record_sets(
            HostedZoneId=self.zone, StartRecordName=host, StartRecordType="A", MaxItems="10",
        )["ResourceRecordSets"]
        return {r["Type"]: r["ResourceRecords"][0]["Value"] for r in listed if r["Name"].rstrip(".") == host}

    def stop(self, job_id):
        status, job = self.api.call("PUT", f"/jobs/{job_id}/stop")
        assert status in (200, 202), job
        self.until(job_id, "stopped", 60)

    def events_of(self, job_id):
        status, events = self.api.call("GET", f"/jobs/{job_id}/events")
        assert status == 200, events
        return events["events"]

    def newer_segments(self, job_id, least, seconds=90):
        """Waits until this many segments were published since the start; how many it is then."""
        def look():
            now = self.playlist(job_id)
            count = now and now[0] + len(now[1])
            return count if count and count >= least else None
        return wait_for(f"{least} segments", look, seconds)

    def groups_that_say(self, text):
        """Of which programs the log has lines with this in them."""
        logs = self.emulator.client("logs")
        kinds = {"api": "ApiHandler", "scheduler": "SchedulerHandler", "worker": "WorkersLogs"}
        found = set()
        for kind, like in kinds.items():
            [group] = self.physical("AWS::Logs::LogGroup", like)
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            if any(text in event["message"] for page in pages for event in page["events"]):
                found.add(kind)
        return found

    # The queue.

    @property
    def queue(self):
        return self.outputs["QueueUrl"]

    def send(self, message):
        self.emulator.client("sqs").send_message(QueueUrl=self.queue, MessageBody=json.dumps(message))

    def quiet(self):
        """Waits until the workers of channels before have left."""
        wait_for("an empty cluster", lambda: not self.containers(), 60)

    def dead_letters(self):
        """What was set aside; looking removes it."""
        sqs = self.emulator.client("sqs")
        letters = sqs.receive_message(
            QueueUrl=self.outputs["DeadLetterUrl"], MaxNumberOfMessages=10, WaitTimeSeconds=1,
        ).get("Messages", [])
        for letter in letters:
            sqs.delete_message(QueueUrl=self.outputs["DeadLetterUrl"], ReceiptHandle=letter["ReceiptHandle"])
        return letters

    def is_healthy(self, container):
        """What the container's health check says."""
        self.emulator.podman("exec", container, "/usr/local/bin/worker", "healthy")
        return True

    def media_url(self, job_id):
        return f"{self.emulator.url}/{self.outputs['MediaBucket']}/{job_id}/master.m3u8"

    def playlist(self, job_id):
        """The first media playlist as (media sequence, segment URIs, text); None before there is one."""
        s3 = self.emulator.client("s3")
        def read(name):
            return s3.get_object(Bucket=self.outputs["MediaBucket"], Key=f"{job_id}/{name}")["Body"].read().decode()
        try:
            variants = [line for line in read("master.m3u8").splitlines() if line and line[0] != "#"]
            text = read(variants[0])
        except s3.exceptions.NoSuchKey:
            return None
        sequence = int(re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text).group(1))
        return sequence, [line for line in text.splitlines() if line and line[0] != "#"], text


class Publisher:
    """FFmpeg with a test picture, pushed to a job's ingest until it is told to stop or cut."""

    def __init__(self, ingest):
        target = f"{ingest['url']}/{ingest['stream_key']}"
        self.process = subprocess.Popen([
            "ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-re",
            "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=frequency=440",
            "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "50", "-pix_fmt", "yuv420p",
            "-c:a", "aac", "-f", "flv", target,
        ], stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


def decode(url, seconds):
    """How many frames FFmpeg decodes of a playlist."""
    done = subprocess.run([
        "ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames",
        "-read_intervals", f"%+{seconds}", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", url,
    ], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.strip().splitlines()[0])
