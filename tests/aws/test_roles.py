"""The roles, enforced: a channel plays with no more than they grant, and each
is refused what it must not do."""

import json
import subprocess
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from deployed import IMAGE, Deployed, Publisher
from emulator import REGION, ROOT, Emulator, wait_for

ZONE = "live.example.com"

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "InvalidClientTokenId")


class Principal:
    """A user with the very policies of a role: the emulator grants nobody the
    role of a task."""

    def __init__(self, stack, role):
        self.stack = stack
        iam = stack.emulator.client("iam")
        [name] = [n for n in stack.physical("AWS::IAM::Role", role)]
        user = f"as-{role}"
        iam.create_user(UserName=user)
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            iam.put_user_policy(UserName=user, PolicyName=policy, PolicyDocument=_text(document))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        self.keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def client(self, service):
        return self.stack.emulator.client(service, **self.keys)

    def is_refused(self, service, operation, **arguments):
        try:
            getattr(self.client(service), operation)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in DENIED, f"{operation}: {error}"
            return True
        return False


def _text(document):
    return document if isinstance(document, str) else json.dumps(document)


@pytest.fixture(scope="module")
def guarded():
    with Emulator(auth=True) as emulator:
        emulator.podman("image", "exists", f"{IMAGE}:test")
        yield Deployed(emulator, "guarded", "test", zone=ZONE)


@pytest.fixture(scope="module")
def principals(guarded):
    made = {}

    def principal(role):
        if role not in made:
            made[role] = Principal(guarded, role)
        return made[role]

    return principal


@pytest.fixture(scope="module")
def as_worker(guarded, principals):
    """Workers may do what their role may."""
    guarded.container_runs_as(principals("WorkersRole").keys)


def test_a_channel_plays_with_no_more_than_the_roles_grant(guarded, as_worker):
    job_id = guarded.create()
    with Publisher(guarded.ingest(job_id)):
        guarded.newer_segments(job_id, 3)
        guarded.stop(job_id)
    assert guarded.api.call("DELETE", f"/jobs/{job_id}?media=true")[0] in (202, 204)
    wait_for("the job's removal", lambda: guarded.api.call("GET", f"/jobs/{job_id}")[0] == 404, 60)
    assert not guarded.dead_letters()


def test_an_ingest_keeps_its_name_from_worker_to_worker(guarded, as_worker):
    job_id = guarded.create()
    host = f"{job_id}.{ZONE}"
    pushed = guarded.ingest(job_id)
    url = guarded.job(job_id)["ingest"]["url"]
    assert urlsplit(url).hostname == host
    assert guarded.records_of(host) == {"A": urlsplit(pushed["url"]).hostname, "TXT": '"ezlive attempt 1"'}
    for container in guarded.containers():
        guarded.emulator.podman("kill", "--signal", "KILL", container)
    wait_for("the next attempt", lambda: guarded.job(job_id)["attempt"] == 2, 60)
    with Publisher(guarded.ingest(job_id)):
        guarded.until(job_id, "streaming")
        assert guarded.records_of(host)["TXT"] == '"ezlive attempt 2"'
        assert urlsplit(guarded.job(job_id)["ingest"]["url"]).hostname == host
        guarded.stop(job_id)
    assert guarded.records_of(host) == {}


def test_the_name_of_a_dead_worker_goes_with_its_job(guarded, as_worker):
    job_id = guarded.create()
    guarded.ingest(job_id)
    for container in guarded.containers():
        guarded.emulator.podman("kill", "--signal", "KILL", container)
    guarded.stop(job_id)
    wait_for("the name's end", lambda: not guarded.records_of(f"{job_id}.{ZONE}"), 60)


JOB = {"job_id": {"S": "x"}}
WORKER = {"worker_id": {"S": "x"}}

# Role, service, call, arguments; {…} names what is in the stack.
REFUSED = [
    ("ApiHandlerRole", "ecs", "run_task", {"cluster": "{cluster}", "taskDefinition": "{task}"}),
    ("ApiHandlerRole", "s3", "get_object", {"Bucket": "{bucket}", "Key": "x"}),
    ("ApiHandlerRole", "s3", "put_object", {"Bucket": "{bucket}", "Key": "x", "Body": b""}),
    ("ApiHandlerRole", "sqs", "receive_message", {"QueueUrl": "{queue}"}),
    ("ApiHandlerRole", "sqs", "send_message", {"QueueUrl": "{dead}", "MessageBody": "x"}),
    ("ApiHandlerRole", "dynamodb", "scan", {"TableName": "{stack}-jobs"}),
    ("ApiHandlerRole", "dynamodb", "delete_item", {"TableName": "{stack}-workers", "Key": WORKER}),
    ("ApiHandlerRole", "dynamodb", "delete_table", {"TableName": "{stack}-jobs"}),
    ("SchedulerHandlerRole", "dynamodb", "scan", {"TableName": "{stack}-jobs"}),
    ("SchedulerHandlerRole", "dynamodb", "delete_item", {"TableName": "{stack}-workers", "Key": WORKER}),
    ("SchedulerHandlerRole", "s3", "put_object", {"Bucket": "ezlive-code", "Key": "api.zip", "Body": b""}),
    ("SchedulerHandlerRole", "sqs", "purge_queue", {"QueueUrl": "{dead}"}),
    ("SchedulerHandlerRole", "iam", "create_user", {"UserName": "x"}),
    ("SchedulerHandlerRole", "lambda", "list_functions", {}),
    ("WorkersRole", "dynamodb", "delete_item", {"TableName": "{stack}-jobs", "Key": JOB}),
    ("WorkersRole", "dynamodb", "scan", {"TableName": "{stack}-jobs"}),
    ("WorkersRole", "dynamodb", "put_item", {"TableName": "{stack}-jobs", "Item": JOB}),
    ("WorkersRole", "dynamodb", "get_item",
     {"TableName": "{stack}-events", "Key": {**JOB, "seq": {"N": "1"}}}),
    ("WorkersRole", "sqs", "send_message", {"QueueUrl": "{queue}", "MessageBody": "x"}),
    ("WorkersRole", "ecs", "stop_task", {"cluster": "{cluster}", "task": "x"}),
    ("WorkersRole", "s3", "get_object", {"Bucket": "ezlive-code", "Key": "api.zip"}),
    ("WorkersRole", "route53", "list_hosted_zones", {}),
    ("WorkersRole", "route53", "list_resource_record_sets", {"HostedZoneId": "ZOTHER"}),
    ("WorkersRole", "route53", "delete_hosted_zone", {"Id": "{zone}"}),
    ("ApiHandlerRole", "route53", "list_resource_record_sets", {"HostedZoneId": "{zone}"}),
    ("SchedulerHandlerRole", "route53", "delete_hosted_zone", {"Id": "{zone}"}),
    ("WorkersRole", "s3", "delete_bucket", {"Bucket": "{bucket}"}),
    ("WorkersExecutionRole", "s3", "get_object", {"Bucket": "{bucket}", "Key": "x"}),
    ("WorkersExecutionRole", "dynamodb", "get_item", {"TableName": "{stack}-jobs", "Key": JOB}),
    ("WorkersExecutionRole", "sqs", "send_message", {"QueueUrl": "{queue}", "MessageBody": "x"}),
    ("SchedulerSweepRole", "sqs", "receive_message", {"QueueUrl": "{queue}"}),
    ("SchedulerSweepRole", "sqs", "send_message", {"QueueUrl": "{dead}", "MessageBody": "x"}),
    ("SchedulerSweepRole", "dynamodb", "get_item", {"TableName": "{stack}-jobs", "Key": JOB}),
]


@pytest.mark.parametrize(
    ("role", "service", "call", "arguments"), REFUSED,
    ids=[f"{role}-{service}-{call}-{n}" for n, (role, service, call, _) in enumerate(REFUSED)],
)
def test_a_role_is_refused_what_it_must_not_do(guarded, principals, role, service, call, arguments):
    names = {
        "stack": guarded.name, "cluster": guarded.outputs["Cluster"], "bucket": guarded.outputs["MediaBucket"],
        "queue": guarded.queue, "dead": guarded.outputs["DeadLetterUrl"],
        "task": guarded.physical("AWS::ECS::TaskDefinition")[0], "zone": guarded.zone,
    }
    filled = {k: v.format(**names) if isinstance(v, str) else v for k, v in arguments.items()}
    assert principals(role).is_refused(service, call, **filled)


@pytest.mark.parametrize(("role", "service", "call", "arguments"), [
    ("WorkersRole", "dynamodb", "get_item", {"TableName": "{stack}-jobs", "Key": JOB}),
    ("WorkersRole", "route53", "list_resource_record_sets", {"HostedZoneId": "{zone}"}),
    ("SchedulerHandlerRole", "route53", "list_resource_record_sets", {"HostedZoneId": "{zone}"}),
    ("ApiHandlerRole", "sqs", "send_message", {"QueueUrl": "{queue}", "MessageBody": '{"type":"sweep"}'}),
    ("SchedulerSweepRole", "sqs", "send_message", {"QueueUrl": "{queue}", "MessageBody": '{"type":"sweep"}'}),
])
def test_a_role_may_do_what_it_is_for(guarded, principals, role, service, call, arguments):
    """Without this the table above would also pass with keys that may do nothing."""
    names = {"stack": guarded.name, "queue": guarded.queue, "zone": guarded.zone}
    filled = {k: v.format(**names) if isinstance(v, str) and k != "MessageBody" else v for k, v in arguments.items()}
    assert not principals(role).is_refused(service, call, **filled)


def test_the_client_signs_its_calls(guarded):
    def ezlive(auth, secret):
        return subprocess.run(
            [ROOT / "target/debug/ezlive", "--url", guarded.api.base, "--auth", auth, "--json", "list"],
            env={"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": REGION, "HOME": "/"},
            capture_output=True, text=True,
        )
    signed = ezlive("iam", "test")
    assert signed.returncode == 0, signed.stderr
    assert "jobs" in json.loads(signed.stdout)
    unsigned = ezlive("bearer", "test")
    assert unsigned.returncode == 1 and "Forbidden" in unsigned.stderr, unsigned.stderr


def test_an_unsigned_caller_is_nobody(guarded):
    assert guarded.api.call("GET", "/jobs", signed=False)[0] == 403
    assert guarded.api.call("GET", "/health", signed=False)[0] == 200
