// The instance's processes, to be killed: pids come from the supervisors' files.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { until } from "./instance.mjs";

const home = process.env.BASALT_HOME;

// The child of the service's supervisor: "gateway", "executor" or "database".
export function pidOf(name) {
  const supervisor = readFileSync(`${home}/run/${name}.pid`, "utf8").trim();
  const children = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, "utf8").trim().split(/\s+/);
  return Number(children[0]);
}

// kill -9, and wait until the supervisor has started another.
export async function kill(name) {
  const old = pidOf(name);
  execFileSync("kill", ["-9", String(old)]);
  return until(`another ${name}`, () => {
    try {
      const now = pidOf(name);
      return now && now !== old && now;
    } catch {
      return false;
    }
  });
}
