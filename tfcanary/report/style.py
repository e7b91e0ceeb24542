"""The style sheet of a page, for light and dark colour schemes, without anything to load. Text has a contrast of at least 4.5 in both."""

_LIGHT = """
  --page: #ffffff; --panel: #f5f6f8; --line: #d9dde3; --text: #171a1f; --muted: #565e6b;
  --good: #12703d; --good-soft: #e6f4ec; --warn: #6d5a00; --warn-soft: #f9f4d6; --doubt: #925600; --doubt-soft: #fff1d6;
  --bad: #b3261e; --bad-soft: #fcebe9; --plain: #3c4654; --plain-soft: #f0f2f5;
  --stable: #8993a1; --canary: #2460b4; --band: #eef0f4; --stage: #868f9c;
"""

_DARK = """
  --page: #12151a; --panel: #1b2027; --line: #363e49; --text: #e9ecf0; --muted: #a5afbc;
  --good: #62cf92; --good-soft: #14291e; --warn: #ead45f; --warn-soft: #2a2811; --doubt: #ffb454; --doubt-soft: #30230f;
  --bad: #ff8b81; --bad-soft: #341b1a; --plain: #ccd3dc; --plain-soft: #1f252d;
  --stable: #66717f; --canary: #7db0f5; --band: #222933; --stage: #6f7a88;
"""

_TONES = "\n".join(
    f".tfcanary .{tone} {{ --tone: var(--{tone}); --soft: var(--{tone}-soft); }}" for tone in ("good", "warn", "doubt", "bad", "plain")
)

_PAGE = """
body { margin: 0; background: var(--page); }
.tfcanary { box-sizing: border-box; max-width: 1080px; margin: 0 auto; padding: 28px 24px 64px; color: var(--text); background: var(--page);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.tfcanary bdi, .tfcanary code { unicode-bidi: isolate; }
.tfcanary code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.tfcanary p { margin: 0 0 12px; max-width: 76ch; }
.tfcanary .quiet, .tfcanary small { color: var(--muted); font-size: 13px; }
.tfcanary small { display: block; }
.tfcanary header { border-left: 6px solid var(--tone); background: var(--soft); border-radius: 4px; padding: 22px 28px 24px; }
.tfcanary header .about { margin: 0 0 6px; color: var(--muted); font-size: 14px; }
.tfcanary h1 { margin: 0; color: var(--tone); font-size: 34px; line-height: 1.2; font-weight: 680; letter-spacing: -0.01em; }
.tfcanary h1 .glyph { width: 28px; height: 28px; margin-right: 12px; vertical-align: -3px; }
.tfcanary header .why { margin: 12px 0 0; font-size: 19px; line-height: 1.45; }
.tfcanary .facts { display: flex; flex-wrap: wrap; gap: 16px 40px; margin: 22px 0 0; padding: 0 4px; }
.tfcanary .facts div { display: flex; flex-direction: column; }
.tfcanary .facts dt { color: var(--muted); font-size: 13px; }
.tfcanary .facts dd { margin: 0; font-size: 17px; font-weight: 600; }
.tfcanary section { margin-top: 44px; }
.tfcanary h2 { margin: 0 0 14px; padding-bottom: 8px; border-bottom: 1px solid var(--line); font-size: 19px; line-height: 1.3; font-weight: 650; }
.tfcanary h3 { margin: 26px 0 6px; font-size: 15px; font-weight: 650; }
.tfcanary h3 .badge { margin-left: 10px; }
.tfcanary .badge { color: var(--tone); font-weight: 600; }
.tfcanary .badge .glyph { margin-right: 6px; vertical-align: -2px; }
.tfcanary table { width: 100%; margin: 0 0 12px; border-collapse: collapse; table-layout: fixed; }
.tfcanary th, .tfcanary .badge { overflow-wrap: normal; }
.tfcanary .badge { white-space: nowrap; }
.tfcanary th { padding: 0 14px 6px 0; color: var(--muted); font-size: 13px; font-weight: 500; text-align: left; vertical-align: bottom; }
.tfcanary td { padding: 9px 14px 9px 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
.tfcanary th:last-child, .tfcanary td:last-child { padding-right: 0; }
.tfcanary th.number, .tfcanary td.number { text-align: right; padding-right: 22px; }
.tfcanary details { margin: 8px 0 12px; }
.tfcanary summary { padding: 6px 0; color: var(--muted); cursor: pointer; }
.tfcanary .list { display: grid; grid-template-columns: minmax(110px, 22%) 1fr; margin: 0; }
.tfcanary .list dt, .tfcanary .list dd { margin: 0; padding: 9px 14px 9px 0; border-top: 1px solid var(--line); }
.tfcanary .list dt { color: var(--muted); }
.tfcanary .list dt:first-of-type, .tfcanary .list dd:first-of-type { border-top: 0; }
.tfcanary .diff th, .tfcanary .diff td { padding-left: 10px; }
.tfcanary .diff .changed td { background: var(--warn-soft); }
.tfcanary .diff .removed td { background: var(--bad-soft); }
.tfcanary .diff .added td { background: var(--good-soft); }
.tfcanary .diff .none { color: var(--muted); }
"""

_PLOTS = """
.tfcanary .criterion { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 8px 36px; padding: 16px 0 14px;
  border-top: 1px solid var(--line); align-items: start; }
.tfcanary .criterion:first-of-type { border-top: 0; }
.tfcanary .criterion p { margin: 4px 0 2px; }
.tfcanary .criterion .head { display: flex; flex-wrap: wrap; gap: 2px 12px; }
.tfcanary .criterion + table { margin-top: 18px; }
.tfcanary .shown { padding: 4px 12px 0; }
.tfcanary .legend { display: flex; flex-wrap: wrap; gap: 4px 24px; margin: 0 0 8px; color: var(--muted); font-size: 13px; }
.tfcanary .legend svg { margin-right: 7px; vertical-align: -2px; }
.tfcanary .legend .band { stroke: var(--stage); }
.tfcanary .name .legend { margin: 2px 0 0; }
.tfcanary .name .legend span { white-space: nowrap; }
.tfcanary .row { display: grid; grid-template-columns: 172px minmax(0, 1fr); column-gap: 12px; margin-bottom: 18px; padding-right: 10px; }
.tfcanary .row.tight { margin-bottom: 6px; align-items: center; }
.tfcanary .row .name { color: var(--muted); font-size: 13px; line-height: 1.35; padding-right: 40px; }
.tfcanary .row.tight .name { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; padding-right: 4px; }
.tfcanary .row.wide { grid-template-columns: minmax(0, 1fr) minmax(0, 3fr); margin-bottom: 2px; }
.tfcanary .row .name code { font-size: 12px; }
.tfcanary svg.plot { display: block; overflow: visible; }
.tfcanary svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--muted); }
.tfcanary svg line, .tfcanary svg path { vector-effect: non-scaling-stroke; }
.tfcanary .axis, .tfcanary .grid { stroke: var(--line); stroke-width: 1; }
.tfcanary .stage { stroke: var(--stage); stroke-width: 1; }
.tfcanary .same { stroke: var(--muted); stroke-width: 1.5; stroke-dasharray: 2 3; }
.tfcanary .tolerance { stroke: var(--text); stroke-width: 1.5; }
.tfcanary .margin { stroke: var(--text); stroke-width: 1.5; stroke-dasharray: 5 3; }
.tfcanary svg text.label { fill: var(--text); }
.tfcanary svg text.arrow { fill: var(--tone); font-size: 20px; font-weight: 700; }
.tfcanary .bar { stroke: var(--tone); stroke-width: 5; opacity: 0.55; }
.tfcanary .end { stroke: var(--tone); stroke-width: 2; }
.tfcanary .estimate { fill: var(--tone); stroke: var(--page); stroke-width: 2; }
.tfcanary .band { fill: var(--band); }
.tfcanary .step { fill: none; stroke: var(--canary); stroke-width: 2; }
.tfcanary .area { fill: var(--canary); opacity: 0.12; }
.tfcanary .mark { stroke: var(--tone); stroke-width: 1; opacity: 0.6; }
.tfcanary .force { fill: var(--page); stroke: var(--tone); stroke-width: 2; }
.tfcanary rect.stable { fill: var(--stable); }
.tfcanary rect.canary { fill: var(--canary); }
.tfcanary .run { fill: var(--tone); }
.tfcanary .ribbon { fill: var(--canary); opacity: 0.18; }
.tfcanary .trace { fill: none; stroke: var(--canary); stroke-width: 2; }
.tfcanary .glyph .solid { fill: var(--tone); }
.tfcanary .glyph .cut { fill: none; stroke: var(--page); stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.tfcanary .glyph .ring { fill: var(--page); stroke: var(--tone); stroke-width: 1.8; stroke-dasharray: 3.2 2; }
.tfcanary .glyph .ink { fill: none; stroke: var(--tone); stroke-width: 2; stroke-linecap: round; }
@media (max-width: 800px) {
  .tfcanary { padding: 16px 16px 48px; }
  .tfcanary header { padding: 18px 20px 20px; }
  .tfcanary h1 { font-size: 28px; }
  .tfcanary header .why { font-size: 17px; }
  .tfcanary .criterion { grid-template-columns: minmax(0, 1fr); }
  .tfcanary .row { grid-template-columns: 112px minmax(0, 1fr); }
  .tfcanary .row .name { padding-right: 32px; }
  .tfcanary .row.wide { grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); }
  .tfcanary th, .tfcanary td { padding-right: 10px; }
}
@media (max-width: 640px) {
  .tfcanary .label .word { display: none; }
}
@media (max-width: 520px) {
  .tfcanary table { table-layout: auto; }
  .tfcanary col { width: auto !important; }
  .tfcanary th, .tfcanary td, .tfcanary th.number, .tfcanary td.number { padding-right: 8px; }
  .tfcanary .badge { white-space: normal; }
}
"""

SHEET = (
    f":root {{ color-scheme: light dark;{_LIGHT}}}\n@media (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}\n{_TONES}{_PAGE}{_PLOTS}"
)
"""The whole style sheet. It contains no `<`, no `&` and no address, because it stands unescaped in an XML document that loads nothing."""

LIVE = """
.tfcanary a { color: var(--canary); }
.tfcanary a:focus-visible, .tfcanary summary:focus-visible { outline: 2px solid var(--canary); outline-offset: 2px; }
.tfcanary .list code { user-select: all; }
body > #connection { min-height: 0; padding-top: 12px; padding-bottom: 0; color: var(--muted); font-size: 13px; }
"""
"""What only a page has that its server keeps up to date: links, commands to copy, and the state of its connection."""
