import { expect, test } from "vitest";
import { idOf, isId, newId, personIdOf } from "../../../../convex/model/ids.ts";
import { derivedSecret, hashOf, isWellFormed, matches, newSecret, secretOf } from "../../../../convex/model/secrets.ts";

// The texts are those that the Rust side makes of the same bytes.

test("an id has the form that the Rust side gives it", () => {
  expect(idOf("trn", 1_000, new Uint8Array(10).fill(255))).toBe("trn_00000000z8fzzvzzzzzzzzzzzz");
  expect(idOf("mch", 1_767_225_600_000, Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]))).toBe(
    "mch_01kdvdna00e41861050r3gg28a",
  );
});

test("ids order by time", () => {
  const early = idOf("trn", 1_000, new Uint8Array(10).fill(255));
  const late = idOf("trn", 1_001, new Uint8Array(10));
  expect(early < late).toBe(true);
});

test("another kind's id is none", () => {
  expect(isId(newId("trn"), "trn")).toBe(true);
  for (const text of [newId("wrk"), "", "trn_", "trn_../../etc/passwd0000000000", "trn_ILOU0000000000000000000000"]) {
    expect(isId(text, "trn"), text).toBe(false);
  }
});

test("a person keeps their id, and has it alone", () => {
  const ann = personIdOf("https://people.test|ann");
  expect(isId(ann, "per")).toBe(true);
  expect(personIdOf("https://people.test|ann")).toBe(ann);
  expect(personIdOf("https://people.test|bob")).not.toBe(ann);
});

test("a secret has the form that the Rust side gives it", () => {
  const secret = "ork_0707070707070707070707070707070707070707070707070707070707070707d0d8";
  expect(secretOf("ork", new Uint8Array(32).fill(7))).toBe(secret);
  expect(hashOf(secret)).toBe("7498eb35c000cda7a25bfd8107f3422b247a82b1b750b24d6c159d9951c84430");
  expect(derivedSecret("oms", ["key", "nonce"])).toBe(
    "oms_db60378e316af62ef1075dce42e4fc5a504e93333b5add38b2145d5b7f1943395be8",
  );
  expect(derivedSecret("oms", ["keyn", "once"])).not.toBe(derivedSecret("oms", ["key", "nonce"]));
});

test("a mistyped secret is told from a wrong one", () => {
  const secret = newSecret("ork");
  expect(isWellFormed(secret, "ork")).toBe(true);
  const last = secret.at(-1) === "0" ? "1" : "0";
  for (const text of ["", "é", "ork_", secret.slice(1), secret.slice(0, -1), secret.slice(0, -1) + last]) {
    expect(isWellFormed(text, "ork"), text).toBe(false);
  }
  expect(isWellFormed(secret, "oms")).toBe(false);
});

test("only the same secret matches", () => {
  const secret = newSecret("oms");
  expect(matches(hashOf(secret), secret)).toBe(true);
  expect(matches(hashOf(secret), newSecret("oms"))).toBe(false);
  expect(matches("", secret)).toBe(false);
});
