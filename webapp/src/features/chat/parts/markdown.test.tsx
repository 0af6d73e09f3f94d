import { cleanup, render } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";

import { Markdown } from "./markdown";

afterEach(cleanup);

function html(text: string, streaming = false): HTMLElement {
  return render(<Markdown text={text} streaming={streaming} />).container;
}

describe("Markdown from a model", () => {
  it("is Markdown", () => {
    const root = html("# Title\n\n**bold** and `code`\n\n- [x] done\n- two\n\n| a | b |\n| - | - |\n| 1 | 2 |");
    expect(root.querySelector("h1")?.textContent).toBe("Title");
    expect(root.querySelector("strong")?.textContent).toBe("bold");
    expect(root.querySelectorAll("li")).toHaveLength(2);
    expect(root.querySelector("td")?.textContent).toBe("1");
  });

  it("renders while it is still open", () => {
    const root = html("Some **bold te", true);
    expect(root.querySelector("strong")?.textContent).toBe("bold te");
    expect(html("```rust\nlet a =", true).querySelector("pre")?.textContent).toBe("let a =");
  });

  it.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<iframe src="https://evil.example"></iframe>',
    '<svg onload="alert(1)"><circle/></svg>',
    '<a href="javascript:alert(1)">x</a>',
    "<style>body{display:none}</style>",
    '<form action="https://evil.example"><input name=password></form>',
    "text <b onclick=alert(1)>inline</b> text",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  ])("shows HTML as the text it is: %s", (hostile) => {
    for (const streaming of [false, true]) {
      const root = html(hostile, streaming);
      expect(
        root.querySelector("script, img, iframe, svg:not([class*='lucide']), style, form, input, b, math, a"),
      ).toBeNull();
      expect(root.textContent).toContain("<");
      for (const element of root.querySelectorAll("*")) {
        for (const name of element.getAttributeNames()) expect(name.startsWith("on")).toBe(false);
      }
    }
  });

  it.each([
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](/v1/auth/sign-out)",
    "[x](//evil.example)",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
  ])("does not link to %s", (hostile) => {
    expect(html(hostile).querySelector("a")).toBeNull();
  });

  it("links to pages and letters, without telling them where one came from", () => {
    const links = html(
      "[page](https://a.example/x) [letter](mailto:a@b.example) https://auto.example",
    ).querySelectorAll("a");
    expect([...links].map((link) => link.getAttribute("href"))).toEqual([
      "https://a.example/x",
      "mailto:a@b.example",
      "https://auto.example/",
    ]);
    for (const link of links) {
      expect(link.getAttribute("rel")).toContain("noopener");
      expect(link.getAttribute("rel")).toContain("noreferrer");
    }
  });

  it("loads no image by itself", () => {
    const root = html(
      "![a cat](https://tracker.example/cat.png) ![bad](javascript:alert(1)) ![data](data:image/svg+xml;base64,AAAA)",
    );
    expect(root.querySelector("img")).toBeNull();
    expect([...root.querySelectorAll("a")].map((link) => link.getAttribute("href"))).toEqual([
      "https://tracker.example/cat.png",
    ]);
    expect(root.textContent).toContain("a cat (tracker.example)");
  });

  it("runs no diagrams and no formulas", () => {
    const root = html("```mermaid\ngraph TD; A-->B\n```\n\n$$x^2$$");
    expect(root.querySelector("pre")?.textContent).toBe("graph TD; A-->B");
    expect(root.textContent).toContain("$$x^2$$");
  });

  it("has no control characters and no turned direction", () => {
    expect(html("a\u0000b\u001b[31mc \u202eevil\u202c").textContent).toBe("ab[31mc evil");
  });

  it("does not let an id of the text shadow one of the page", () => {
    const root = html("[^main]\n\n[^main]: note");
    for (const element of root.querySelectorAll("[id]")) expect(element.id.startsWith("user-content-")).toBe(true);
  });
});
