/** The tabs of the page, by the pattern of the ARIA authoring guide: arrows move, and what is chosen is shown. */

import { byId } from "./dom";
import { text } from "./texts";

export class Tabs {
  /** The name of the tab that is shown. */
  chosen: string;

  constructor(private readonly names: readonly string[]) {
    this.chosen = names[0];
    for (const name of names) {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.id = `tab-${name}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", `panel-${name}`);
      tab.dataset.text = name;
      tab.textContent = text(name);
      tab.addEventListener("click", () => this.choose(name));
      tab.addEventListener("keydown", (event) => this.move(event, name));
      byId("tabs").append(tab);
    }
    this.choose(this.chosen);
  }

  choose(name: string): void {
    this.chosen = name;
    for (const each of this.names) {
      const tab = byId(`tab-${each}`);
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
      byId(`panel-${each}`).hidden = each !== name;
    }
  }

  private move(event: KeyboardEvent, name: string): void {
    const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    const back = document.documentElement.dir === "rtl" ? "ArrowRight" : "ArrowLeft";
    const last = this.names.length - 1;
    const at = this.names.indexOf(name);
    const target = { [forward]: at === last ? 0 : at + 1, [back]: at ? at - 1 : last, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.choose(this.names[target]);
    byId(`tab-${this.names[target]}`).focus();
  }
}
