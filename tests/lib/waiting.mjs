// Waiting for what comes, and ports: for every scene. Patience costs nothing when things come fast, and a busy machine is
// no fault of the program under test.
import { createServer } from 'node:net';

export const PATIENCE = 60; // seconds

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The first true value of check().
export async function until(what, check, seconds = PATIENCE) {
  for (const deadline = Date.now() + seconds * 1000; ;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(100);
  }
}

// Below the range from which the system takes the ports of clients: none of them gets it before its server.
export async function freePort() {
  for (;;) {
    const port = 20000 + Math.floor(Math.random() * 12000);
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.on('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
