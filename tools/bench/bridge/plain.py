"""The bridge as one would write it first: URL HOST PORT TOPIC MAX_TASKS.

A client library fetches, one thread publishes each task and waits for its confirm, another takes one answer at a
time and completes it with a request of its own. It has none of Carex's promises.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import pika
import requests
from camunda.client.external_task_client import ExternalTaskClient

WORKER = "universal-worker"


def dispatch(url: str, parameters: Any, topic: str, most: int) -> None:
    config = {"maxTasks": most, "lockDuration": 600_000, "asyncResponseTimeout": 30_000}
    client = ExternalTaskClient(WORKER, url, config)
    channel = pika.BlockingConnection(parameters).channel()
    channel.confirm_delivery()
    while True:
        for task in client.fetch_and_lock([topic]):
            body = {
                "task_id": task["id"],
                "topic": topic,
                "worker_id": WORKER,
                "variables": task["variables"],
                "process_instance_id": task["processInstanceId"],
            }
            persistent = pika.BasicProperties(delivery_mode=2, message_id=task["id"])
            channel.basic_publish(
                "camunda.external.tasks", f"default.{topic}", json.dumps(body).encode(), persistent, mandatory=True
            )


def respond(url: str, parameters: Any) -> None:
    channel = pika.BlockingConnection(parameters).channel()
    channel.basic_qos(prefetch_count=1)

    def carry(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        said = json.loads(body)
        done = {"workerId": said["worker_id"], "variables": said["variables"]}
        requests.post(f"{url}/external-task/{said['task_id']}/complete", json=done, timeout=30).raise_for_status()
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume("camunda.responses.queue", carry)
    channel.start_consuming()


def main(url: str, host: str, port: str, topic: str, most: str) -> None:
    parameters = pika.ConnectionParameters(host, int(port), heartbeat=0)
    threading.Thread(target=respond, args=(url, parameters), daemon=True).start()
    print("ready", flush=True)
    dispatch(url, parameters, topic, int(most))


main(*sys.argv[1:])
