"""The deployed stack: the real functions, the real image, one channel at a time."""

import json
import re
import subprocess

import pytest
from deployed import SAMPLE, Publisher, decode
from emulator import wait_for


def test_a_channel_plays_through_the_stack(stack):
    job_id = stack.create()
    with Publisher(stack.ingest(job_id)):
        stack.until(job_id, "streaming")
        first = stack.newer_segments(job_id, 1)
        later = stack.newer_segments(job_id, first + 2)
        assert later > first
        assert "#EXT-X-ENDLIST" not in stack.playlist(job_id)[2]
        assert decode(stack.media_url(job_id), 4) >= 90, "25 frames/s"
        assert stack.is_healthy(stack.containers()[0])
        stack.stop(job_id)
    assert "#EXT-X-ENDLIST" in stack.playlist(job_id)[2]
    # The worker was told to stay for five seconds.
    wait_for("the task's end", lambda: not stack.containers(), 60)


def test_all_lines_about_a_job_have_the_trace_of_its_post(stack):
    job_id = stack.create()
    trace = stack.job(job_id)["trace_id"]
    assert re.fullmatch("[0-9a-f]{32}", trace)
    stack.ingest(job_id)
    stack.stop(job_id)
    everyone = {"api", "scheduler", "worker"}
    wait_for("its lines in every log", lambda: stack.groups_that_say(trace) == everyone, 30)
    assert not stack.groups_that_say("0" * 32)


def test_a_killed_container_is_followed_by_another(stack):
    job_id = stack.create()
    with Publisher(stack.ingest(job_id)):
        before = stack.newer_segments(job_id, 2)
        url = stack.job(job_id)["ingest"]["url"]
        [killed] = stack.containers()
        stack.emulator.podman("kill", "--signal", "KILL", killed)
        wait_for("the next attempt", lambda: stack.job(job_id)["attempt"] == 2, 60)
    # As an encoder does, the publisher asks for the address and comes back.
    wait_for("the next worker", lambda: stack.containers() and stack.containers() != [killed], 60)
    ingest = stack.ingest(job_id)
    with Publisher(ingest):
        after = stack.newer_segments(job_id, before + 2)
        assert after > before
        assert "#EXT-X-DISCONTINUITY" in stack.playlist(job_id)[2]
        assert decode(stack.media_url(job_id), 4) >= 90
        stack.stop(job_id)
    kinds = [event["type"] for event in stack.events_of(job_id)]
    assert kinds.count("booked") == 2, kinds
    assert url.startswith("rtmp://")


def test_twice_delivered_messages_launch_one_task(stack):
    stack.quiet()
    job_id = stack.create()
    for _ in range(5):
        stack.send({"type": "schedule", "job": job_id})
    stack.ingest(job_id)
    stack.send({"type": "schedule", "job": job_id})
    # Once a job that came after them is placed, they have been taken.
    other_id = stack.create()
    stack.ingest(other_id)
    jobs = [stack.job(job_id), stack.job(other_id)]
    assert [job["attempt"] for job in jobs] == [1, 1]
    assert stack.launched() == {job["worker_id"] for job in jobs}
    for job in jobs:
        stack.stop(job["id"])


def test_poison_is_set_aside_and_the_rest_is_carried_out(stack):
    stack.quiet()
    sqs = stack.emulator.client("sqs")
    # The queue's visibility timeout is a minute and it has five tries: here
    # they come sooner.
    sqs.set_queue_attributes(QueueUrl=stack.queue, Attributes={"VisibilityTimeout": "3"})
    # In one batch: what can't be read, and a job to be placed.
    job_id = stack.create()
    entries = [{"Id": "poison", "MessageBody": '{"type":"no such thing"}'}] + [
        {"Id": f"good{n}", "MessageBody": json.dumps({"type": "schedule", "job": job_id})} for n in range(3)
    ]
    sqs.send_message_batch(QueueUrl=stack.queue, Entries=entries)
    stack.ingest(job_id)
    assert stack.launched() == {stack.job(job_id)["worker_id"]}
    dead = wait_for("the dead letter", lambda: stack.dead_letters(), 150)
    assert [letter["Body"] for letter in dead] == ['{"type":"no such thing"}']
    sqs.set_queue_attributes(QueueUrl=stack.queue, Attributes={"VisibilityTimeout": "60"})
    stack.stop(job_id)


def test_every_call_has_its_route_and_needs_a_signature(stack):
    status, document = stack.api.call("GET", "/openapi.json")
    assert status == 200
    described = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    api_id = stack.physical("AWS::ApiGatewayV2::Api")[0]
    routes = stack.emulator.client("apigatewayv2").get_routes(ApiId=api_id, MaxResults="100")["Items"]
    assert {route["RouteKey"] for route in routes} == described
    for route in routes:
        method, path = route["RouteKey"].split(" ")
        status, _ = stack.api.call(method, path.replace("{id}", "x"), signed=False)
        assert status == (200 if route["RouteKey"] == "GET /health" else 403), route["RouteKey"]


def test_a_bad_spec_is_refused_with_all_its_faults(stack):
    status, problem = stack.api.call("POST", "/jobs", {**SAMPLE, "Nonsense": 1})
    assert status in (400, 422) and "Nonsense" in json.dumps(problem)


def test_the_end_of_a_task_reaches_the_scheduler_at_once(stack):
    """ECS's event, through the rule, as a message that the scheduler acts on
    sooner than the watch could."""
    events = stack.emulator.client("events")
    cluster = stack.emulator.client("ecs").describe_clusters(clusters=[stack.outputs["Cluster"]])["clusters"][0]
    [rule] = [rule for rule in events.list_rules()["Rules"] if "TaskStopped" in rule["Name"]]
    pattern = json.loads(rule["EventPattern"])
    assert pattern["source"] == ["aws.ecs"]
    # The emulator sends no events of ECS, and nobody may send one in its name:
    # the rule is made to hear of another source.
    events.put_rule(Name=rule["Name"], EventPattern=json.dumps({**pattern, "source": ["test"]}))
    job_id = stack.create()
    stack.ingest(job_id)
    worker = stack.job(job_id)["worker_id"]
    for container in stack.containers():
        stack.emulator.podman("kill", "--signal", "KILL", container)
    put = events.put_events(Entries=[{
        "Source": "test", "DetailType": "ECS Task State Change", "Detail": json.dumps({
            "clusterArn": cluster["clusterArn"], "lastStatus": "STOPPED", "startedBy": worker,
        }),
    }])
    assert put["FailedEntryCount"] == 0
    wait_for("the next attempt", lambda: stack.job(job_id)["attempt"] == 2, 60)
    reasons = [event["reason"]["code"] for event in stack.events_of(job_id) if event["reason"]]
    assert "worker_exited" in reasons, reasons
    stack.stop(job_id)


def test_the_container_needs_no_more_than_it_is_granted(stack):
    """As the task definition says: no writable root, no capability, no root user."""
    run = ["podman", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--user", "10001:10001", "--network", "none"]
    image = "ezlive-worker:test"
    encoded = subprocess.run(
        [*run, "--entrypoint", "ffmpeg", image, "-v", "error", "-f", "lavfi", "-i", "testsrc2=d=0.2",
         "-c:v", "libx264", "-f", "null", "-"],
        env=stack.emulator.podman_env, capture_output=True, text=True,
    )
    assert encoded.returncode == 0, encoded.stderr
    lacking = subprocess.run([*run, image], env=stack.emulator.podman_env, capture_output=True, text=True)
    assert lacking.returncode == 1
    assert "EZLIVE_WORKER_ID" in lacking.stderr, "it says which variable it lacks"


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1", "aac"])
def test_the_image_has_the_encoders(emulator, encoder):
    listed = emulator.podman("run", "--rm", "--network", "none", "--entrypoint", "ffmpeg", "ezlive-worker:test",
                             "-hide_banner", "-encoders")
    assert f" {encoder} " in listed


def test_the_stack_goes_without_a_trace(stack):
    stack.delete()
    client = stack.emulator.client
    assert client("dynamodb").list_tables()["TableNames"] == []
    assert not client("sqs").list_queues().get("QueueUrls")
    assert client("lambda").list_functions()["Functions"] == []
    assert [b["Name"] for b in client("s3").list_buckets()["Buckets"]] == ["ezlive-code"]
    assert not client("logs").describe_log_groups()["logGroups"]
    assert not [r for r in client("iam").list_roles()["Roles"] if r["RoleName"].startswith(stack.name)]
