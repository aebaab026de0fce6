"""The engine's side: its REST API, its external tasks carried to RabbitMQ, and the answers carried back."""
