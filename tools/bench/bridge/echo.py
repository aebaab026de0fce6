"""Answers `complete` to every task of some queues, for all bridges alike: HOST PORT QUEUE …"""

from __future__ import annotations

import json
import sys
from typing import Any

import pika


def main(host: str, port: str, *queues: str) -> None:
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), heartbeat=0))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=200)

    def answer(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        task = json.loads(body)
        said = {
            "task_id": task["task_id"],
            "response_type": "complete",
            "worker_id": task["worker_id"],
            "variables": {"result": {"value": "success", "type": "String"}},
        }
        persistent = pika.BasicProperties(delivery_mode=2)
        channel.basic_publish("camunda.task.responses", "done", json.dumps(said).encode(), persistent)
        channel.basic_ack(method.delivery_tag)

    channel.exchange_declare("camunda.external.tasks", "topic", durable=True)
    channel.exchange_declare("camunda.task.responses", "topic", durable=True)
    channel.queue_declare("camunda.responses.queue", durable=True)
    channel.queue_bind("camunda.responses.queue", "camunda.task.responses", "#")
    for queue in queues:
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, "camunda.external.tasks", queue.removesuffix("queue") + "#")
        channel.basic_consume(queue, answer)
    print("ready", flush=True)
    channel.start_consuming()


main(*sys.argv[1:])
