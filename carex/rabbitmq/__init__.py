"""RabbitMQ: one connection that comes back by itself, the topology, the intake of tasks and the outbox of answers."""
