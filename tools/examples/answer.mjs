// Answers external tasks from a RabbitMQ queue without Carex, in Node. Needs amqplib.
//
// node answer.mjs AMQP_URL QUEUE
import amqp from 'amqplib'

// Do the work; return the part of the answer that says how it ended.
function work (task) {
  const amount = task.variables.amount?.value
  if (amount === undefined) return { response_type: 'failure', error_message: 'no amount was given', retries: 0 }
  if (amount > 1000) {
    return { response_type: 'bpmn_error', error_code: 'TOO_MUCH', error_message: `${amount} is over 1000` }
  }
  return { response_type: 'complete', variables: { approved: { value: true, type: 'Boolean' } } }
}

const [url, queue] = process.argv.slice(2)
const connection = await amqp.connect(url)
const channel = await connection.createConfirmChannel()
await channel.prefetch(10)
await channel.consume(queue, async message => {
  const task = JSON.parse(message.content.toString())
  // The same message may come again: work that must not be done twice goes by task.task_id.
  const response = { task_id: task.task_id, worker_id: task.worker_id, ...work(task) }
  channel.publish('camunda.task.responses', 'response', Buffer.from(JSON.stringify(response)), {
    persistent: true, contentType: 'application/json', mandatory: true
  })
  await channel.waitForConfirms()
  channel.ack(message) // only after the answer is in RabbitMQ
})
