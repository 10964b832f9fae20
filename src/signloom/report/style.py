"""The page's style sheet: light and dark, wide and narrow, nothing loaded from elsewhere."""

STYLE = """
:root{color-scheme:light dark;--page:#f7f7f5;--card:#fff;--ink:#1d1f24;--soft:#5b616e;--line:#dfe1e6;--accent:#2557c9;
--calm:#8a93a6;--sub:#7d4a00;--sub-bg:#fde8bf;--del:#0a4f86;--del-bg:#d3e7f8;--ins:#8a1f63;--ins-bg:#fadcee;
--good:#1b7044;--good-bg:#d8f0e2;--bad:#a8232f;--bad-bg:#fbdcdd;--note-bg:#fff4d6;--note:#6b4d00}
@media(prefers-color-scheme:dark){:root{--page:#14161a;--card:#1d2026;--ink:#e8eaee;--soft:#a3aab8;--line:#343943;
--accent:#86a9ff;--calm:#7c8598;--sub:#ffce7a;--sub-bg:#4a3512;--del:#9fd0f8;--del-bg:#143a58;--ins:#ffb0dd;
--ins-bg:#55193f;--good:#7fd9a8;--good-bg:#173d2a;--bad:#ff9ba0;--bad-bg:#4e1f25;--note-bg:#3a3114;--note:#f3d98a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans",sans-serif;overflow-wrap:anywhere}
main{max-width:1060px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px}h2{font-size:1.15rem;margin:0 0 10px}
h3{font-size:.95rem;margin:0 0 6px;font-weight:600}p{margin:.4em 0}
a{color:var(--accent)}.soft,.unit,figcaption{color:var(--soft)}.small{font-size:.87rem}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:16px 0}
.label{display:inline-block;background:var(--note-bg);color:var(--note);border-radius:99px;padding:2px 12px;
font-size:.87rem;font-weight:600;margin:6px 6px 2px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px 24px}
.cards>.lead{grid-column:span 2}
.card b{display:block;font-size:1.5rem;line-height:1.25;font-weight:650}.card.lead b{font-size:2.9rem;line-height:1.1;
color:var(--accent)}.card span{font-size:.87rem;color:var(--soft);display:block}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:24px}figure{margin:0}
svg text{font-size:12px;fill:var(--soft)}svg.chart{width:100%;height:auto;display:block}
.grid{stroke:var(--line);stroke-width:1}.best{stroke:var(--good);stroke-width:1.5;stroke-dasharray:4 3}
polyline{fill:none;stroke-width:2.2;stroke-linejoin:round}
.line0{stroke:var(--accent)}.line1{stroke:var(--calm)}.line2{stroke:var(--good)}
.line3{stroke:var(--bad)}.dot0{fill:var(--accent)}.dot1{fill:var(--calm)}.dot2{fill:var(--good)}.dot3{fill:var(--bad)}
.faint circle{opacity:0}.faint circle:hover{opacity:1}
.key{display:inline-block;width:18px;height:3px;border-radius:2px;vertical-align:middle;margin:0 6px 0 12px}
.key0{background:var(--accent)}.key1{background:var(--calm)}
.key2{background:var(--good)}.key3{background:var(--bad)}.said{margin:0 0 10px;padding:8px 12px;border-radius:8px}
.said.warn{background:var(--note-bg)}.said.fail{background:var(--bad-bg)}.said.ok{background:var(--good-bg)}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.93rem}th,td{padding:5px 12px 5px 0;border-bottom:1px solid
var(--line);text-align:left;vertical-align:top;overflow-wrap:normal}
td code{overflow-wrap:anywhere}th{color:var(--soft);font-weight:600;white-space:nowrap}
td.number,th.number{text-align:right;padding:5px 0 5px 14px;font-variant-numeric:tabular-nums;white-space:nowrap}
tr:last-child td{border-bottom:0}
.bars+p,.cards+p{margin-top:16px}.bars{display:grid;margin-bottom:14px;
grid-template-columns:max-content 1fr max-content;gap:8px 12px;align-items:center}
.bars .name{font-size:.93rem}.bars .value{font-variant-numeric:tabular-nums;font-weight:600}
.track{position:relative;height:16px;background:var(--page);border-radius:4px}
.fill{position:absolute;left:0;top:0;bottom:0;border-radius:4px;background:var(--calm)}.fill0{background:var(--accent)}
.whisker{position:absolute;top:7px;height:2px;background:var(--ink);min-width:2px}
.utterance{padding:12px 0;border-top:1px solid var(--line)}.utterance:first-of-type{border-top:0;padding-top:0}
.utterance .head{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 16px;font-size:.87rem}
.aligned{display:flex;flex-wrap:wrap;gap:6px;margin-top:6px;font-size:.9rem}
.step{display:flex;flex-direction:column;text-align:center;border-radius:6px;overflow:hidden;background:var(--page)}
.step bdi{display:block;padding:1px 8px;min-width:2em;min-height:1.6em}.step .hyp{border-top:1px solid var(--card)}
.S{background:var(--sub-bg);color:var(--sub)}.D{background:var(--del-bg);color:var(--del)}
.I{background:var(--ins-bg);color:var(--ins)}
.D .hyp::before{content:"deleted";font-size:.75rem;opacity:.75}.I .ref::before{content:"inserted";font-size:.75rem;
opacity:.75}
.chip{border-radius:6px;padding:1px 8px;font-size:.87rem;margin-right:8px;white-space:nowrap}
.timeline svg{display:block}.timeline .lane{font-weight:600}.span rect{fill:var(--calm)}
.span line{stroke:var(--line);stroke-width:1}.span text{fill:var(--ink)}
.right rect{fill:var(--good)}.wrong rect{fill:var(--bad)}.span.wrong text{fill:var(--bad)}
details{margin:6px 0}summary{cursor:pointer;font-weight:600;padding:4px 0}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.87rem}
pre{background:var(--page);border-radius:8px;padding:8px 12px;margin:4px 0 12px;white-space:pre-wrap}
img{max-width:100%;background:#fff;border-radius:8px}ol{padding-left:1.3em;margin:.3em 0}
@media(max-width:720px){main{padding:16px 12px 40px}section{padding:14px;border-radius:10px}.pair{grid-template-columns:
1fr}.card.lead b{font-size:2.4rem}h1{font-size:1.4rem}
.bars{grid-template-columns:1fr max-content}.bars .name{grid-column:1/-1;margin-bottom:-6px}}
@media print{section{break-inside:avoid}body{background:#fff}}
"""
