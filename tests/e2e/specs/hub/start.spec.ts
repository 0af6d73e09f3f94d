import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { bare as test, expect } from "../../support/test.ts";

test("what keeps it from starting is one clear line", async ({ newHome, startProduct }) => {
  const product = await startProduct();

  const again = await product.home.run(["up", "--demo", "--listen", "127.0.0.1:0"]);
  expect(again.code).toBe(12);
  expect(again.stderr.trim().split("\n")).toHaveLength(1);
  expect(again.stderr).toContain("A hub runs already with the data directory");

  const other = newHome();
  const taken = await other.run(["up", "--demo", "--listen", new URL(product.url).host]);
  expect(taken.code).toBe(10);
  expect(taken.stderr.trim().split("\n")).toHaveLength(1);
  expect(taken.stderr).toContain(new URL(product.url).port);

  writeFileSync(join(other.path, "a-file"), "");
  const inFile = await other.run(["up", "--demo", "--listen", "127.0.0.1:0", "--data-dir", "a-file"]);
  expect(inFile.code).toBe(11);
  expect(inFile.stderr.trim().split("\n")).toHaveLength(1);
  expect(inFile.stderr).toContain("--data-dir");

  const noRoot = await other.run(["up", "--listen", "127.0.0.1:0", "--root", join(other.path, "nowhere")]);
  expect(noRoot.code).toBe(13);
  expect(noRoot.stderr).toContain("nowhere");
  const rootFile = await other.run(["up", "--listen", "127.0.0.1:0", "--root", join(other.path, "a-file")]);
  expect(rootFile.code).toBe(13);

  for (const { stdout } of [again, taken, inFile, noRoot, rootFile]) expect(stdout, "no data without success").toBe("");
});
