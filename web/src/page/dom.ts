/** The elements of the page. Glosses and cards are texts, never markup. */

/** Returns an element of the page. */
export function byId<Kind extends HTMLElement>(id: string): Kind {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element ${id}`);
  return element as Kind;
}

/** Returns a new element with a text, whose direction follows its letters. */
export function made<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  content = "",
  className = "",
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  element.textContent = content;
  if (className) element.className = className;
  element.dir = "auto";
  return element;
}

/** Gives the visitor a file. */
export function download(name: string, content: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
