"""What score pages add to the style sheet."""

SCORE_STYLE = """
html{scroll-behavior:smooth}@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
.composition{display:flex;height:26px;border-radius:6px;overflow:hidden;gap:2px;margin:16px 0 8px}
.composition i{min-width:3px}.composition .C{background:var(--good-bg)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.87rem}
.legend .mark{display:inline-block;min-width:1.6em;text-align:center;border-radius:5px;font-weight:700;margin-right:6px}
.legend .mark.C{background:var(--good-bg);color:var(--good)}
.column rect{fill:var(--accent);opacity:.55}.column:hover rect{opacity:.8}
.whisker-line{stroke:var(--ink);stroke-width:1.5}
.signer-bar .fill{opacity:.55}
.column text.value{fill:var(--ink);font-weight:600}
.tools{display:flex;flex-wrap:wrap;gap:8px 10px;align-items:center;margin:8px 0}
input,select,button{font:inherit;font-size:.9rem;color:inherit;background:var(--page);border:1px solid var(--line);
border-radius:8px;padding:5px 10px;max-width:100%}
input[type=search]{flex:1 1 14em;min-width:0}button{cursor:pointer}button:hover,select:hover{border-color:var(--calm)}
:focus-visible{outline:2px solid var(--accent);outline-offset:1px}[hidden]{display:none!important}
td a{text-decoration-thickness:1px;text-underline-offset:2px}
th button{background:none;border:0;padding:0;font-weight:600;font-size:.93rem;color:var(--soft)}
th[aria-sort=descending] button,th[aria-sort=ascending] button{color:var(--ink)}
th[aria-sort=descending] button::after{content:" \\2193"}th[aria-sort=ascending] button::after{content:" \\2191"}
.meter{display:inline-block;width:52px;height:7px;border-radius:4px;background:var(--line);margin-right:8px;
vertical-align:middle;overflow:hidden}.meter i{display:block;height:100%;background:var(--accent)}
.signer-bar{min-width:110px;width:34%}.signer-bar .track{display:block;margin-top:4px}
.filter{background:var(--note-bg);color:var(--note);border-color:transparent;border-radius:99px}
.step{border:1px solid var(--line)}
.step.C,.step.names{background:none}.cell{display:flex;
align-items:center;justify-content:center;gap:6px;padding:1px 8px;min-height:1.75em;min-width:2.2em}
.step .cell::before{content:none}.tools:empty{display:none}
.step .cell bdi{display:inline;padding:0;min-width:0;min-height:0}.step .cell bdi.found{padding:0 2px}
.cell+.cell{border-top:1px solid var(--line)}.tick{color:var(--calm);font-size:.8em}
.cell.C .tick{opacity:.75}.cell.none{background:repeating-linear-gradient(45deg,transparent 0 5px,var(--line) 5px 6px)}
.kind{font:700 .72rem/1.35 system-ui,sans-serif;border-radius:4px;padding:0 4px;border:1.5px solid currentColor}
.step.S,.step.D,.step.I{border-width:1.5px;border-color:currentColor}.step.D{border-style:dashed}
.step.I{border-style:dotted}
.step.S .cell,.step.D .cell,.step.I .cell{border-color:currentColor;background:none}
.step.names{border-color:transparent;color:var(--soft);font-size:.8rem}
.names .cell{border-color:transparent;padding:1px 4px}
.wanted{outline:2px solid var(--accent);outline-offset:1px}.found{background:var(--note-bg);color:var(--note);
border-radius:3px;padding:0 2px}
.up{color:var(--good)}.down{color:var(--bad)}.chip.up{background:var(--good-bg)}.chip.down{background:var(--bad-bg)}
.up a,.down a{color:inherit;font-weight:600}
.zero{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3}
.reach{stroke:var(--accent);stroke-width:5;stroke-linecap:round}.reach.none{stroke:var(--calm)}
.middle{fill:var(--card);stroke:var(--ink);stroke-width:2}
.verdict{font-size:1.25rem;line-height:1.4;font-weight:600;margin:0 0 8px}
#utterances{scroll-margin-top:8px}.given{margin:6px 0 0}
@media(max-width:720px){.wide-only{display:none}}
@media print{.tools,#further{display:none}.utterance{break-inside:avoid}section{break-inside:auto}
a{color:inherit;text-decoration:none}}
"""
