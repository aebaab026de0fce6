"""Answers external tasks from a RabbitMQ queue without Carex: any program can. Needs pika.

python answer.py AMQP_URL QUEUE
"""

from __future__ import annotations

import json
import sys

import pika


def work(task: dict) -> dict:
    """Do the work; return the part of the answer that says how it ended."""
    amount = task["variables"].get("amount", {}).get("value")
    if amount is None:
        return {"response_type": "failure", "error_message": "no amount was given", "retries": 0}
    if amount > 1000:
        return {"response_type": "bpmn_error", "error_code": "TOO_MUCH", "error_message": f"{amount} is over 1000"}
    return {"response_type": "complete", "variables": {"approved": {"value": True, "type": "Boolean"}}}


def main(url: str, queue: str) -> None:
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=10)

    def answer(channel, method, properties, body) -> None:
        task = json.loads(body)
        # The same message may come again: work that must not be done twice goes by task["task_id"].
        response = {"task_id": task["task_id"], "worker_id": task["worker_id"], **work(task)}
        channel.basic_publish(
            exchange="camunda.task.responses",
            routing_key="response",
            body=json.dumps(response),
            properties=pika.BasicProperties(delivery_mode=2, content_type="application/json"),
            mandatory=True,
        )
        channel.basic_ack(method.delivery_tag)  # only after the answer is in RabbitMQ

    channel.basic_consume(queue, answer)
    channel.start_consuming()


if __name__ == "__main__":
    main(*sys.argv[1:])
