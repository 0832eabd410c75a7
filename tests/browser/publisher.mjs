// The publisher belongs to who started this program: it is told on standard
// output, in lines that begin with `>`, and confirms on standard input.
import { createInterface } from 'node:readline';

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function order(...words) {
  console.log(['>', ...words].join(' '));
  const { value, done } = await answers.next();
  if (done || value !== 'done') throw new Error(`${words.join(' ')}: ${value}`);
}

/** Starts pushing the test picture to a job; answers when, in Unix ms. */
export async function publish(job, size, rate) {
  const before = Date.now();
  await order('publish', job, size, rate);
  return before;
}

/** Kills the publisher, as a crash would. */
export function killPublisher() {
  return order('kill');
}

/** No more orders: lets this program end. */
export function noMoreOrders() {
  process.stdin.destroy();
}
