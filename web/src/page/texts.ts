/** The texts of the page in one language, from a JSON file of the site. */

export type Texts = Readonly<Record<string, string>>;

let texts: Texts = {};

/** Returns the text of a key, with the values in the places of their names. */
export function text(key: string, values: Readonly<Record<string, string | number>> = {}): string {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** Takes the texts of a language, and puts them into the elements that name a key in `data-text`. */
export function use(language: string, chosen: Texts): void {
  texts = chosen;
  document.documentElement.lang = language;
  document.documentElement.dir = chosen.direction ?? "ltr";
  for (const element of document.querySelectorAll<HTMLElement>("[data-text]")) {
    element.textContent = text(element.dataset.text as string);
  }
}

/** Returns the first of the browser's languages that the site has, or its first one. */
export function preferred(languages: readonly string[], wanted: readonly string[] = navigator.languages): string {
  for (const name of wanted) {
    const match = languages.find((each) => each === name || each === name.split("-")[0]);
    if (match) return match;
  }
  return languages[0];
}

/** Returns a share as whole percent, as the language writes it. */
export function percent(share: number): string {
  return new Intl.NumberFormat(document.documentElement.lang, { style: "percent" }).format(share);
}
